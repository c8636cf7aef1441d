import type { ConsoleState } from "../console/messages.ts";
import { type AppClient, connectApp } from "./app-client.ts";
import { ControlBar } from "./control-bar.ts";
import { element, setText } from "./elements.ts";
import { follow } from "./feed.ts";
import { tell } from "./journal.ts";
import { PolicyCards } from "./policy-cards.ts";
import { ProvidersTable } from "./providers-table.ts";
import { Samples } from "./samples.ts";
import { StepsPanel } from "./steps-panel.ts";
import { SyncPanel } from "./sync-panel.ts";
import { followTheme } from "./theme.ts";
import { redrawCharts } from "./time-chart.ts";
import { TrafficCharts } from "./traffic-charts.ts";

const samples = new Samples();
const steps = new StepsPanel();
const charts = new TrafficCharts();
const table = new ProvidersTable(samples);
const policies = new PolicyCards(samples);
const sync = new SyncPanel();
const controls = new ControlBar(sync);
let connecting: Promise<AppClient> | undefined;

followTheme(redrawCharts);
follow(
  {
    state(state) {
      steps.show(state);
      controls.show(state);
      if (state.lastSync) sync.showLastSync(state.lastSync);
      connectOnce(state);
    },
    history(history) {
      samples.reset(history);
      draw();
    },
    sample(sample) {
      samples.add(sample);
      draw();
    },
    providers: (rows) => table.show(rows),
  },
  {
    connected: () => showLink("Live", "good"),
    lost: () => showLink("The demo cannot be reached. Start it with: npm run demo", "bad"),
  },
);

function draw(): void {
  charts.show(samples);
  policies.show(samples);
}

/** Signs in as soon as the emulators run and the steps are over. */
function connectOnce({ app }: ConsoleState): void {
  if (!app || connecting) return;
  connecting = connectApp(app);
  connecting
    .then((client) => {
      table.connect(client);
      controls.connect(client);
      policies.create(app.policies, client);
      sync.connect(client);
      draw();
    })
    .catch((error: Error) => tell(`Signing in with the Auth emulator failed: ${error.message}`, "bad"));
}

function showLink(text: string, tone: "good" | "bad"): void {
  const chip = element("link", HTMLParagraphElement);
  setText(chip, text);
  chip.dataset["tone"] = tone;
}
