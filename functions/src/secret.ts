/** The value of a setting that Secret Manager keeps: which setting, and the full name of the version. */
export interface Secret {
  readonly param: string;
  /** `projects/PROJECT/secrets/SECRET/versions/VERSION`; the version `latest` is the newest at each reading. */
  readonly version: string;
}
