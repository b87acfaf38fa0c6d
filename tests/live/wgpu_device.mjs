// The page's WebGPU scripts outside of a browser, on a GPUDevice whose commands the parent process carries out.
//
// Messages go through standard input and output: a line of JSON whose `bytes` counts what follows it. The parent asks
// {ask: "open", shaders, precision, form} with weights, {ask: "draw"} with styles, or {ask: "times"} of the forms of convolutions, if
// they were opened without one. It is told what to do, {do, ...}, in order, until the answer, {do: "answer"} or {do: "fail", why}.
// It replies to `read` with a buffer's content, and to `wait`.

import { writeSync } from "node:fs";

globalThis.GPUBufferUsage = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128 };
globalThis.GPUMapMode = { READ: 1 };

const live = process.argv[2]; // the folder of the scripts, as an address
const { Weights } = await import(`${live}/weights.js`);
const { Network } = await import(`${live}/webgpu/network.js`);
const { Forms, timesOf } = await import(`${live}/webgpu/forms.js`);

function write(bytes) {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error; // the pipe is full
    }
  }
}

function tell(message, data = new Uint8Array()) {
  write(Buffer.from(`${JSON.stringify({ ...message, bytes: data.byteLength })}\n`));
  write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

/** Messages as they come. */
async function* messages() {
  let left = Buffer.alloc(0);
  const chunks = process.stdin[Symbol.asyncIterator]();
  const more = async () => {
    const { done, value } = await chunks.next();
    if (!done) left = Buffer.concat([left, value]);
    return !done;
  };
  for (;;) {
    while (!left.includes(10)) if (!(await more())) return;
    const end = left.indexOf(10);
    const message = JSON.parse(left.subarray(0, end));
    left = left.subarray(end + 1);
    const parts = [];
    for (let missing = message.bytes; missing > 0; ) {
      if (!left.length && !(await more())) return;
      parts.push(left.subarray(0, missing));
      missing -= parts.at(-1).length;
      left = left.subarray(parts.at(-1).length);
    }
    yield { ...message, data: Uint8Array.from(Buffer.concat(parts)) };
  }
}

const waiting = []; // for replies, which come in order

function ask(message) {
  tell(message);
  return new Promise((resolve) => waiting.push(resolve));
}

let count = 0;

/** Something that the parent makes, known by its number. */
function made(kind, facts, data) {
  const id = count++;
  tell({ do: kind, id, ...facts }, data);
  return id;
}

class RemoteBuffer {
  #content;

  constructor({ size, usage }) {
    Object.assign(this, { size, usage, id: made("buffer", { size, usage }) });
  }

  async mapAsync() {
    this.#content = (await ask({ do: "read", id: this.id })).buffer;
  }

  getMappedRange() {
    return this.#content;
  }

  unmap() {}

  destroy() {
    tell({ do: "destroy", id: this.id });
  }
}

/** What is recorded of a command buffer: {passes: [{pipeline, group, counts}]} or {copy}. */
class RemoteEncoder {
  #commands = [];

  beginComputePass() {
    const steps = [];
    const now = {};
    this.#commands.push({ steps });
    return {
      setPipeline: ({ id }) => (now.pipeline = id),
      setBindGroup: (_, { id }) => (now.group = id),
      dispatchWorkgroups: (...counts) => steps.push({ ...now, counts }),
      end() {},
    };
  }

  copyBufferToBuffer(from, fromAt, to, toAt, size) {
    this.#commands.push({ copy: [from.id, fromAt, to.id, toAt, size] });
  }

  finish() {
    return this.#commands;
  }
}

function remoteDevice(limits, features) {
  return {
    limits,
    features: new Set(features),
    queue: {
      writeBuffer: ({ id }, at, data) => tell({ do: "write", id, at }, data),
      submit: (recorded) => tell({ do: "submit", commands: recorded.flat() }),
      onSubmittedWorkDone: () => ask({ do: "wait" }),
    },
    createBuffer: (facts) => new RemoteBuffer(facts),
    createShaderModule: ({ code }) => ({ id: made("module", {}, Buffer.from(code)) }),
    async createComputePipelineAsync({ compute: { module, entryPoint, constants = {} } }) {
      const id = made("pipeline", { module: module.id, entry: entryPoint, constants });
      return { id, getBindGroupLayout: (group) => ({ pipeline: id, group }) };
    },
    createBindGroup({ layout, entries }) {
      const bound = entries.map(({ binding, resource: { buffer } }) => [binding, buffer.id]);
      return { id: made("group", { ...layout, entries: bound }) };
    },
    createCommandEncoder: () => new RemoteEncoder(),
    pushErrorScope() {}, // whatever the device complains of is an exception over there
    popErrorScope: async () => null,
  };
}

let network = null;
const answers = {
  async open({ shaders, precision, form, limits, features, data }) {
    const code = new TextDecoder().decode(data.subarray(0, shaders));
    const weights = new Weights("weights", data.slice(shaders));
    let found = {};
    const measured = new Forms({ adapter: precision, tell: (known) => (found = known) });
    const given = form ? { choose: async () => form } : undefined;
    const forms = form === "fastest" ? measured : given;
    network = await Network.open(remoteDevice(limits, features), code, weights, { precision });
    if (forms) await network.choose(forms);
    return new TextEncoder().encode(JSON.stringify(found));
  },
  draw: ({ data }) => network.synthesize(new Float32Array(data.buffer)),
  async times() {
    const found = {};
    await network.choose({
      async choose(gpu, shape, make) {
        found[shape] = await timesOf(gpu, await make(), Infinity);
        return "direct";
      },
    });
    return Buffer.from(JSON.stringify(found));
  },
};

for await (const message of messages()) {
  if (!message.ask) {
    waiting.shift()(message.data);
    continue;
  }
  answers[message.ask](message).then(
    (answer) => tell({ do: "answer" }, answer),
    (error) => tell({ do: "fail", why: error.stack }),
  );
}
