// Stands in for gcloud where a test looks at the command lines of a script: keeps what they create in STATE_FILE, and
// knows no command, flag or release track beyond those used here.
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

const { STATE_FILE } = process.env;
const state = JSON.parse(readFileSync(STATE_FILE, "utf8"));
const read = (file) => JSON.parse(readFileSync(file, "utf8"));
const fail = (message) => {
  console.error(message);
  process.exit(1);
};

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    project: { type: "string" },
    format: { type: "string" },
    "config-from-file": { type: "string" },
    "policy-from-file": { type: "string" },
    "notification-channels": { type: "string" },
    "set-notification-channels": { type: "string" },
  },
});
const [group, kind, verb, name] = positionals;
const config = values["config-from-file"] ?? values["policy-from-file"];
const items = state[kind] ?? fail(`gcloud: no ${group} ${kind}`);
if (values.project !== "demo-project") fail(`gcloud: project ${values.project}`);
state.commands.push([kind, verb, name].filter(Boolean).join(" "));

const channels = values["notification-channels"] ?? values["set-notification-channels"];
const own = { ...(channels !== undefined && { notificationChannels: channels.split(",") }) };
switch (verb) {
  case "create": {
    const id = name ?? `projects/1/${kind}/${Object.keys(items).length}`;
    items[id] = { ...read(config), ...own, name: id, etag: "v1" };
    break;
  }
  case "update": {
    if (!items[name]) fail(`gcloud: no ${kind} ${name}`);
    const wanted = read(config);
    if (kind === "dashboards" && wanted.etag !== items[name].etag) fail("gcloud: FAILED_PRECONDITION: etag");
    items[name] = { ...wanted, ...own, name, etag: `${items[name].etag}1` };
    break;
  }
  case "list": {
    const columns = {
      "value(name)": ({ name }) => [name],
      "value(name,displayName,etag)": ({ name, displayName, etag }) => [name, displayName, etag],
      'value(name,displayName,notificationChannels.join(","))': (policy) => [
        policy.name,
        policy.displayName,
        (policy.notificationChannels ?? []).join(","),
      ],
    }[values.format];
    for (const item of Object.values(items)) console.log(columns(item).join("\t"));
    break;
  }
  default:
    fail(`gcloud: no command ${positionals.join(" ")}`);
}
writeFileSync(STATE_FILE, JSON.stringify(state));
