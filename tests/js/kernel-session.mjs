// Uses a kernel as JupyterLab does, through JupyterLab's own client, @jupyterlab/services.
//
//   TEAMHUB_URL               where the Jupyter API is, as http://127.0.0.1:8000/services/gateway/
//   TEAMHUB_WS_URL            the same for websockets; left out, it follows from TEAMHUB_URL
//   TEAMHUB_TOKEN             a personal token
//   TEAMHUB_KERNEL            the kernelspec's name; python3 when left out
//   TEAMHUB_DEADLINE_SECONDS  for everything together; 90 when left out
//
// Prints one line of JSON: {"ok", "kernel_id", "specs", "steps": [{"name", "seconds", …}], and on a
// failure "failed" (the step) and "error"}. Exits with 0 if every step did what it should, else 1.

import services from '@jupyterlab/services';

const { KernelManager, KernelSpecAPI, KernelSpecManager } = services;
const { ServerConnection, SessionManager } = services;

// The client reports its websockets on the console; standard output is for the one line.
console.log = console.debug = console.info = console.error;

const wanted = process.env.TEAMHUB_KERNEL ?? 'python3';
const deadlineSeconds = Number(process.env.TEAMHUB_DEADLINE_SECONDS ?? 90);
const report = { ok: false, kernel_id: null, specs: [], steps: [] };
let current = 'settings';
let kernel = null;

function finish() {
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(report.ok ? 0 : 1));
}

function failed(error) {
  report.failed = current;
  report.error = error instanceof Error ? error.message : String(error);
  finish();
}

function expect(condition, message) {
  if (!condition) {
    throw new Error(message);
  }
}

async function step(name, work) {
  current = name;
  const began = performance.now();
  const facts = await work();
  report.steps.push({ name, seconds: (performance.now() - began) / 1000, ...facts });
}

function settings() {
  const { TEAMHUB_URL: baseUrl, TEAMHUB_WS_URL: wsUrl, TEAMHUB_TOKEN: token } = process.env;
  expect(baseUrl && token, 'TEAMHUB_URL and TEAMHUB_TOKEN must be set');
  return ServerConnection.makeSettings({ baseUrl, token, ...(wsUrl ? { wsUrl } : {}) });
}

// What a cell did: its reply, what it printed, and the text of its result.
// `onMessage` sees every broadcast; `onInput` answers input().
async function run(kernel, code, { onMessage, onInput } = {}) {
  const future = kernel.requestExecute({
    code,
    allow_stdin: onInput !== undefined,
    stop_on_error: false
  });
  let printed = '';
  let result = null;
  future.onIOPub = message => {
    if (message.header.msg_type === 'stream') {
      printed += message.content.text;
    } else if (message.header.msg_type === 'execute_result') {
      result = message.content.data['text/plain'];
    }
    onMessage?.(message);
  };
  if (onInput) {
    future.onStdin = message => onInput(message, future);
  }
  const reply = await future.done;
  return { reply: reply.content, printed, result };
}

async function computes(kernel) {
  const { reply, result } = await run(kernel, '6*7');
  expect(reply.status === 'ok' && result === '42', `6*7 gave ${reply.status}, ${result}`);
}

async function asksForInput(kernel) {
  let prompt = null;
  const { reply, printed } = await run(kernel, 'print("hello", input("who? "))', {
    onInput: (message, future) => {
      expect(message.header.msg_type === 'input_request', message.header.msg_type);
      prompt = message.content.prompt;
      future.sendInputReply({ status: 'ok', value: 'teamhub' }, message.header);
    }
  });
  expect(reply.status === 'ok', `input() ended with ${reply.status}: ${reply.evalue}`);
  expect(prompt === 'who? ', `the prompt was ${prompt}`);
  expect(printed.includes('hello teamhub'), `it printed ${printed}`);
}

async function isInterrupted(kernel) {
  let interrupting = null;
  const { reply } = await run(kernel, 'print("looping", flush=True)\nwhile True: pass', {
    onMessage: message => {
      // Only what is certainly running can be interrupted.
      if (message.header.msg_type === 'stream' && interrupting === null) {
        interrupting = kernel.interrupt();
      }
    }
  });
  await interrupting;
  expect(reply.status === 'error', `the loop ended with ${reply.status}`);
  expect(reply.ename === 'KeyboardInterrupt', `the loop ended with ${reply.ename}`);
  await computes(kernel);
}

async function isRestarted(kernel) {
  const id = kernel.id;
  await run(kernel, 'kept = 1');
  await kernel.restart();
  expect(kernel.id === id, `restarting changed the kernel's id to ${kernel.id}`);
  const { reply } = await run(kernel, 'kept');
  expect(reply.ename === 'NameError', `after the restart the variable gave ${reply.status}`);
  await computes(kernel);
}

async function isGone(kernels, id) {
  await kernels.refreshRunning();
  for (const model of kernels.running()) {
    expect(model.id !== id, `kernel ${id} is still listed after its shutdown`);
  }
}

// A notebook that is opened twice has one kernel, and closing its session ends that kernel.
async function sessionKeepsItsKernel(kernels, sessions) {
  const options = { path: 'kernel-session.ipynb', name: '', type: 'notebook' };
  const first = await sessions.startNew({ ...options, kernel: { name: wanted } });
  const id = first.kernel.id;
  try {
    await computes(first.kernel);
    const again = await sessions.startNew({ ...options, kernel: { name: wanted } });
    expect(again.kernel.id === id, 'opening the notebook again started a second kernel');
    const found = await sessions.findByPath(options.path);
    expect(found?.kernel.id === id, 'the session is not found by its path');
  } finally {
    await sessions.shutdown(first.id);
  }
  await isGone(kernels, id);
}

async function main() {
  const serverSettings = settings();
  const specs = new KernelSpecManager({ serverSettings });
  const kernels = new KernelManager({ serverSettings });
  const sessions = new SessionManager({ serverSettings, kernelManager: kernels });
  try {
    await step('list kernelspecs', async () => {
      // The manager polls on after a refusal and does not say why; this call does.
      await KernelSpecAPI.getSpecs(serverSettings);
      await specs.ready;
      report.specs = Object.keys(specs.specs?.kernelspecs ?? {});
      expect(report.specs.includes(wanted), `there is no kernelspec ${wanted}`);
      return { default: specs.specs.default };
    });
    await step('start', async () => {
      await Promise.all([kernels.ready, sessions.ready]);
      kernel = await kernels.startNew({ name: wanted });
      report.kernel_id = kernel.id;
      const info = await kernel.info;
      return { protocol_version: info.protocol_version };
    });
    await step('execute', () => computes(kernel));
    await step('input', () => asksForInput(kernel));
    await step('interrupt', () => isInterrupted(kernel));
    await step('restart', () => isRestarted(kernel));
    await step('shutdown', async () => {
      await kernel.shutdown();
      await isGone(kernels, report.kernel_id);
      kernel = null;
    });
    await step('session', () => sessionKeepsItsKernel(kernels, sessions));
    report.ok = true;
  } finally {
    // What failed halfway leaves no kernel behind; its own error is the one to report.
    await kernel?.shutdown().catch(() => {});
  }
}

async function late() {
  const seconds = resolve => setTimeout(resolve, 5_000);
  await Promise.race([kernel?.shutdown().catch(() => {}), new Promise(seconds)]);
  failed(`not done after ${deadlineSeconds} s`);
}

setTimeout(late, deadlineSeconds * 1000);
main().then(finish, failed);
