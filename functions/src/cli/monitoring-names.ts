/** The log-based metrics of monitoring/. */
export const METRICS = [
  "frq_circuit_opened",
  "frq_config_invalid",
  "frq_firestore_unavailable",
  "frq_flush_failed",
  "frq_installation_conflict",
  "frq_mirror_lag_ms",
  "frq_oldest_pending_ms",
  "frq_pending_providers",
  "frq_quota_drift",
  "frq_quota_fallbacks",
  "frq_quota_hits",
  "frq_quota_misses",
  "frq_rate_limit_allowed",
  "frq_rate_limit_fallbacks",
  "frq_rate_limit_refused",
  "frq_redis_unreachable",
  "frq_syncs",
];

/** The alert policies of monitoring/, as they are called there. */
export const ALERTS = [
  "Redis quotas: Firestore gave no answer",
  "Redis quotas: Redis cannot be reached",
  "Redis quotas: Redis evicts keys",
  "Redis quotas: Redis memory over 80 %",
  "Redis quotas: changes reach Redis over 60 s late",
  "Redis quotas: installation conflict",
  "Redis quotas: invalid params",
  "Redis quotas: no sync for an hour",
  "Redis quotas: over 5 % answered by the fallback",
  "Redis quotas: rate limits decided without Redis",
  "Redis quotas: usage could not be written to Firestore",
  "Redis quotas: usage has waited over 15 min for Firestore",
];
