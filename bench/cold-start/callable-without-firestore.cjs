/** The least that a callable of any app loads. */
const { initializeApp } = require("firebase-admin/app");
const { onCall } = require("firebase-functions/v2/https");

initializeApp();

exports.answer = onCall(() => ({ allowed: true }));
