import type { PolicyText, Sample } from "../console/messages.ts";
import { formatMs } from "../latency.ts";
import type { PolicyDecision } from "../measured.ts";
import type { AppClient } from "./app-client.ts";
import { element, make, setText } from "./elements.ts";
import { tell, whileDisabled } from "./journal.ts";
import type { Samples } from "./samples.ts";
import { type ChartSeries, TimeChart } from "./time-chart.ts";

const REQUESTS = 10;
const HEIGHT_PX = 130;

const WHEN_REDIS_FAILS = {
  local: "If Redis fails, each process counts for itself (local).",
  open: "If Redis fails, all requests are allowed (open).",
  closed: "If Redis fails, all requests are refused (closed).",
};

type Kind = Pick<PolicyDecision, "source" | "allowed">;

/** What a policy's decisions can be: Redis decides, or else what the policy says. */
const KINDS: Record<PolicyText["onRedisFailure"], readonly Kind[]> = {
  local: [
    { source: "local", allowed: true },
    { source: "local", allowed: false },
  ],
  open: [{ source: "open", allowed: true }],
  closed: [{ source: "closed", allowed: false }],
};

/** A card for each policy: what it has decided, and a button that asks it. */
export class PolicyCards {
  readonly #samples: Samples;
  #cards: { readonly policy: string; readonly kinds: readonly Kind[]; readonly chart: TimeChart }[] = [];

  constructor(samples: Samples) {
    this.#samples = samples;
  }

  create(policies: readonly PolicyText[], client: AppClient): void {
    const list = element("policies", HTMLDivElement);
    list.replaceChildren();
    this.#cards = policies.map((policy) => {
      const kinds: Kind[] = [
        { source: "redis", allowed: true },
        { source: "redis", allowed: false },
        ...KINDS[policy.onRedisFailure],
      ];
      const figure = make("figure", { className: "panel policy" });
      figure.dataset["policy"] = policy.name;
      list.append(figure);
      const chart = new TimeChart(figure, {
        title: policy.name,
        note: `${policy.limit}. ${WHEN_REDIS_FAILS[policy.onRedisFailure]}`,
        series: kinds.map(toSeries),
        heightPx: HEIGHT_PX,
        range: (min, max) => [Math.min(-4, (min ?? 0) * 1.1), Math.max(4, (max ?? 0) * 1.1)],
        format: (perSecond) => String(Math.round(perSecond)),
        nothing: "0",
      });
      figure.append(this.#askRow(policy.name, client));
      return { policy: policy.name, kinds, chart };
    });
  }

  show(samples: Samples): void {
    const { seconds, samples: shown } = samples.shown();
    for (const { policy, kinds, chart } of this.#cards) {
      const valuesOf = (kind: Kind): number[] => shown.map((sample) => signedCount(sample, policy, kind));
      chart.show(seconds, kinds.map(valuesOf));
    }
  }

  #askRow(policy: string, client: AppClient): HTMLElement {
    const button = make("button", { text: `Send ${REQUESTS}` });
    button.type = "button";
    button.setAttribute("aria-label", `Send ${REQUESTS} requests under ${policy}`);
    const result = make("p", {
      className: "muted",
      text: "Through checkRateLimit, as the user of this page.",
    });
    button.addEventListener("click", () => {
      void whileDisabled(button, async () => {
        const calls = Array.from({ length: REQUESTS }, () => client.checkRateLimit(policy));
        const answers = (await Promise.all(calls)).map(({ answer }) => answer);
        for (const { source, allowed } of answers) this.#samples.addOwnDecision({ policy, source, allowed });
        const refused = answers.filter(({ allowed }) => !allowed);
        const by = [...new Set(answers.map(({ source }) => source))].join(" and ");
        const again = Math.max(...refused.map(({ retryAfterMs }) => retryAfterMs), 0);
        const text =
          `${answers.length - refused.length} allowed, ${refused.length} refused by ${by}` +
          (again > 0 ? `; again in ${formatMs(again)}` : "");
        setText(result, text);
        tell(`${policy}: ${text}`, refused.length > 0 ? "bad" : "good");
      });
    });
    return make("div", { className: "ask" }, button, result);
  }
}

function toSeries({ source, allowed }: Kind): ChartSeries {
  const name = source === "redis" ? "Redis" : source;
  return {
    label: `${allowed ? "Allowed" : "Refused"}, ${name}`,
    colour: source,
    draw: "bars",
    ...(!allowed && source !== "closed" && { pale: true }), // who also allows: what it refuses is paler
  };
}

function signedCount({ decisions }: Sample, policy: string, kind: Kind): number {
  const count = decisions
    .filter((of) => of.policy === policy && of.source === kind.source && of.allowed === kind.allowed)
    .reduce((sum, of) => sum + of.count, 0);
  return kind.allowed ? count : -count;
}
