import { execFile, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { canInstall, installPackage } from "./apt-install.mjs";
import { freePorts } from "./free-ports.mjs";
import { whenGone } from "./when-gone.mjs";

const LOWEST_VERSION = { major: 6, minor: 2 };
const DOCKER_IMAGE = "redis:7.2-alpine";
const LOOK_TIMEOUT_MS = 10_000;
const PULL_TIMEOUT_MS = 300_000;
const START_TIMEOUT_MS = 15_000;
const END_TIMEOUT_MS = 5_000;
const ENDING_SIGNALS = new Set(["SIGKILL", "SIGTERM", "SIGINT"]);

const NOT_FOUND = `No Redis server (${LOWEST_VERSION.major}.${LOWEST_VERSION.minor} or newer) was found. One of these gives you one:
  Debian, Ubuntu   sudo apt-get install -y --no-install-recommends redis-server
  macOS            brew install redis
  Docker           start its daemon: ${DOCKER_IMAGE} is used then`;

const run = promisify(execFile);

/** Makes sure that `startRedis` finds a server: root has one installed by apt-get, others are told what to type. */
export async function ensureRedisServer(step = (_what, work) => work()) {
  if (await isInstalled()) return;
  if (await canInstall()) {
    await step("installing redis-server with apt-get", () => installPackage("redis-server"));
    if (await isInstalled()) return;
  }
  if (!(await succeeds("docker", ["info"]))) throw new Error(NOT_FOUND);
  if (await succeeds("docker", ["image", "inspect", DOCKER_IMAGE])) return;
  await step(`fetching the Docker image ${DOCKER_IMAGE}`, () =>
    run("docker", ["pull", "--quiet", DOCKER_IMAGE], { timeout: PULL_TIMEOUT_MS }),
  );
}

/** Starts a Redis server on 127.0.0.1, in memory only, which is ended at the latest when this process is gone. */
export async function startRedis({ port, args = [] } = {}) {
  const dir = await mkdtemp(join(tmpdir(), "frq-redis-"));
  const settings = ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", ...args];
  const listenPort = port ?? (await freePorts(1))[0];
  const server = new RedisServer(listenPort, dir, (await findLauncher())(listenPort, dir, settings));
  await server.start();
  return server;
}

class RedisServer {
  #dir;
  #launcher;
  #child;
  #exited;
  #cancelCleanUp;

  constructor(port, dir, launcher) {
    this.port = port;
    this.#dir = dir;
    this.#launcher = launcher;
  }

  get pid() {
    return this.#child.pid;
  }

  async start() {
    const { command, args, cleanUp } = this.#launcher;
    const logFile = openSync(join(this.#dir, "redis.log"), "a");
    this.#child = spawn(command, args, { stdio: ["ignore", logFile, logFile], detached: true });
    closeSync(logFile);
    this.#child.unref();
    this.#exited = new Promise((resolve) => this.#child.once("exit", resolve).once("error", resolve));
    this.#cancelCleanUp = whenGone(`${cleanUp}; rm -rf "$2"`, [String(this.pid), this.#dir]);
    await this.#untilItAnswers();
  }

  async kill(signal = "SIGKILL") {
    await this.#launcher.signal(this.#child, signal);
    if (ENDING_SIGNALS.has(signal)) await this.#untilItEnds(signal);
  }

  async restart() {
    if (this.#runs()) await this.kill("SIGTERM");
    this.#cancelCleanUp();
    await this.start();
  }

  async stop() {
    if (this.#runs()) await this.kill("SIGKILL");
    this.#cancelCleanUp();
    await rm(this.#dir, { recursive: true, force: true });
  }

  #runs() {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async #untilItAnswers() {
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await answersPing(this.port))) {
      if (!this.#runs() || Date.now() > deadline) {
        const log = await readFile(join(this.#dir, "redis.log"), "utf8");
        await this.stop();
        throw new Error(`The Redis server did not start on port ${this.port}:\n${log}`);
      }
      await sleep(20);
    }
  }

  async #untilItEnds(signal) {
    const timer = new AbortController();
    const late = sleep(END_TIMEOUT_MS, undefined, { signal: timer.signal }).then(() => {
      throw new Error(
        `The Redis server (pid ${this.pid}) did not end within ${END_TIMEOUT_MS} ms of ${signal}.`,
      );
    });
    await Promise.race([this.#exited, late]);
    timer.abort();
  }
}

async function findLauncher() {
  if (await isInstalled()) return localServer;
  if (await succeeds("docker", ["info"])) return dockerServer;
  throw new Error(NOT_FOUND);
}

function localServer(port, dir, settings) {
  return {
    command: "redis-server",
    args: ["--bind", "127.0.0.1", "--port", String(port), "--dir", dir, ...settings],
    signal: async (child, signal) => void child.kill(signal),
    cleanUp: 'kill -KILL "$1"',
  };
}

function dockerServer(port, dir, settings) {
  const name = `frq-redis-${port}`;
  // As the caller's user, so that what it writes into the directory can be removed.
  const user = `${process.getuid()}:${process.getgid()}`;
  const outside = ["--user", user, "-p", `127.0.0.1:${port}:6379`, "-v", `${dir}:/data`];
  return {
    command: "docker",
    args: ["run", "--rm", "--name", name, ...outside, DOCKER_IMAGE, "redis-server", ...settings],
    signal: (child, signal) => run("docker", ["kill", "--signal", signal, name]),
    cleanUp: `docker rm --force ${name}`,
  };
}

async function isInstalled() {
  try {
    const { stdout } = await run("redis-server", ["--version"], { timeout: LOOK_TIMEOUT_MS });
    const [, major, minor] = stdout.match(/v=(\d+)\.(\d+)/).map(Number);
    return major > LOWEST_VERSION.major || (major === LOWEST_VERSION.major && minor >= LOWEST_VERSION.minor);
  } catch {
    return false;
  }
}

async function succeeds(command, args) {
  try {
    await run(command, args, { timeout: LOOK_TIMEOUT_MS });
    return true;
  } catch {
    return false;
  }
}

// An error reply other than LOADING is an answer too: a server with a password says NOAUTH.
function answersPing(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const answer = (yes) => {
      socket.destroy();
      resolve(yes);
    };
    socket.setTimeout(1_000, () => answer(false));
    socket.once("connect", () => socket.write("PING\r\n"));
    socket.once("data", (reply) => answer(!reply.toString().startsWith("-LOADING")));
    socket.once("error", () => answer(false));
    socket.once("close", () => answer(false));
  });
}
