/** A callable of an app that checks a quota with the SDK. */
const { onCall } = require("firebase-functions/v2/https");
const { createRedisQuota } = require("../../functions/dist/lib.js");

const { quota } = createRedisQuota();

exports.answer = onCall(() => quota.check("provider-1"));
