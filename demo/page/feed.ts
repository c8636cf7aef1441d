import type { Messages } from "../console/messages.ts";

type MessageHandlers = { readonly [Name in keyof Messages]: (message: Messages[Name]) => void };

/** Told whether the demo can be reached. */
export interface LinkHandlers {
  readonly connected: () => void;
  readonly lost: () => void;
}

/** Receives what the demo tells; the browser connects again by itself when the connection is lost. */
export function follow(handlers: MessageHandlers, { connected, lost }: LinkHandlers): void {
  const events = new EventSource("/events");
  events.addEventListener("open", connected);
  events.addEventListener("error", lost);
  const listen = <Name extends keyof Messages>(name: Name): void =>
    events.addEventListener(name, ({ data }: MessageEvent<string>) =>
      handlers[name](JSON.parse(data) as Messages[Name]),
    );
  listen("state");
  listen("history");
  listen("sample");
  listen("providers");
}
