/** An object with these fields and no others, of which those in `required` must be there. */
const fields = (properties: Readonly<Record<string, object>>, required: readonly string[] = []) => ({
  type: "object",
  properties,
  required,
  additionalProperties: false,
});
const listOf = (items: object) => ({ type: "array", items, minItems: 1 });
const text = { type: "string", minLength: 1 };
const oneOf = (...values: string[]) => ({ enum: values });

/** Google's notation of a duration; conditions take whole minutes. */
const minutes = { type: "string", pattern: "^(0|[1-9][0-9]*0)s$" };

const aggregation = fields({
  alignmentPeriod: minutes,
  perSeriesAligner: oneOf("ALIGN_DELTA", "ALIGN_RATE", "ALIGN_MEAN", "ALIGN_MAX", "ALIGN_SUM"),
  crossSeriesReducer: oneOf("REDUCE_NONE", "REDUCE_MEAN", "REDUCE_MAX", "REDUCE_SUM"),
  groupByFields: listOf(text),
});

/** cloud.google.com/logging/docs/reference/v2/rest/v2/projects.metrics */
export const LOG_METRIC = fields(
  {
    name: { type: "string", pattern: "^[A-Za-z0-9_-]{1,100}$" },
    description: { type: "string", maxLength: 8000 },
    filter: { type: "string", minLength: 1, maxLength: 20_000 },
    valueExtractor: { type: "string", pattern: "^(REGEXP_)?EXTRACT\\(.+\\)$" },
    metricDescriptor: fields(
      {
        metricKind: oneOf("DELTA"),
        valueType: oneOf("INT64", "DISTRIBUTION"),
        unit: oneOf("1", "ms"),
        displayName: text,
      },
      ["metricKind", "valueType"],
    ),
    bucketOptions: fields(
      {
        exponentialBuckets: fields(
          {
            numFiniteBuckets: { type: "integer", minimum: 1, maximum: 200 },
            growthFactor: { type: "number", exclusiveMinimum: 1 },
            scale: { type: "number", exclusiveMinimum: 0 },
          },
          ["numFiniteBuckets", "growthFactor", "scale"],
        ),
      },
      ["exponentialBuckets"],
    ),
  },
  ["name", "filter", "metricDescriptor"],
);

/** cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies; what the server fills in is left out. */
export const ALERT_POLICY = fields(
  {
    displayName: { type: "string", minLength: 1, maxLength: 512 },
    combiner: oneOf("OR", "AND", "AND_WITH_MATCHING_RESOURCE"),
    documentation: fields(
      { content: { type: "string", maxLength: 8192 }, mimeType: oneOf("text/markdown"), subject: text },
      ["content", "mimeType"],
    ),
    conditions: {
      type: "array",
      minItems: 1,
      maxItems: 6,
      items: {
        oneOf: [
          fields(
            {
              displayName: text,
              conditionPrometheusQueryLanguage: fields(
                {
                  query: text,
                  duration: minutes,
                  evaluationInterval: { type: "string", pattern: "^[1-9]?[036]0s$" },
                },
                ["query"],
              ),
            },
            ["displayName", "conditionPrometheusQueryLanguage"],
          ),
          fields(
            {
              displayName: text,
              conditionThreshold: fields(
                {
                  filter: text,
                  aggregations: listOf(aggregation),
                  comparison: oneOf("COMPARISON_GT", "COMPARISON_LT"),
                  thresholdValue: { type: "number" },
                  duration: minutes,
                  trigger: fields({ count: { type: "integer", minimum: 1 } }),
                },
                ["filter", "comparison", "duration"],
              ),
            },
            ["displayName", "conditionThreshold"],
          ),
        ],
      },
    },
    // Half an hour at least, a week at most.
    alertStrategy: fields({
      autoClose: { type: "string", pattern: "^(1[89]|[2-9][0-9]|[1-5][0-9]{2})[0-9]{2}s$" },
    }),
    severity: oneOf("CRITICAL", "ERROR", "WARNING"),
    enabled: { type: "boolean" },
  },
  ["displayName", "combiner", "conditions"],
);

/** cloud.google.com/monitoring/api/ref_v3/rest/v1/projects.dashboards */
export const DASHBOARD = fields(
  {
    displayName: text,
    mosaicLayout: fields(
      {
        columns: { type: "integer", minimum: 1, maximum: 48 },
        tiles: listOf(
          fields(
            {
              xPos: { type: "integer", minimum: 0 },
              yPos: { type: "integer", minimum: 0 },
              width: { type: "integer", minimum: 1 },
              height: { type: "integer", minimum: 1 },
              widget: fields(
                {
                  title: text,
                  xyChart: fields(
                    {
                      dataSets: listOf(
                        fields(
                          {
                            plotType: oneOf("LINE", "STACKED_AREA", "STACKED_BAR", "HEATMAP"),
                            legendTemplate: text,
                            minAlignmentPeriod: minutes,
                            targetAxis: oneOf("Y1", "Y2"),
                            timeSeriesQuery: {
                              oneOf: [
                                fields({ prometheusQuery: text, unitOverride: text }, ["prometheusQuery"]),
                                fields(
                                  {
                                    timeSeriesFilter: fields({ filter: text, aggregation }, ["filter"]),
                                    unitOverride: text,
                                  },
                                  ["timeSeriesFilter"],
                                ),
                              ],
                            },
                          },
                          ["plotType", "timeSeriesQuery"],
                        ),
                      ),
                      yAxis: fields({ label: text, scale: oneOf("LINEAR", "LOG10") }),
                    },
                    ["dataSets"],
                  ),
                },
                ["title", "xyChart"],
              ),
            },
            ["width", "height", "widget"],
          ),
        ),
      },
      ["columns", "tiles"],
    ),
  },
  ["displayName", "mosaicLayout"],
);
