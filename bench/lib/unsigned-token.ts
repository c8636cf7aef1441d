/** An ID token that is decoded, but would not be believed where signatures are verified. */
export function unsignedIdToken(uid: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none", typ: "JWT" })}.${part({ sub: uid, uid })}.`;
}
