import { assertEquals, assertMatch } from "@std/assert";
import { ProgressBar } from "../../tasks/_progress.ts";

/** What a bar drew on a stream with a clock of our own. */
function record(
  terminal: boolean,
  use: (bar: ProgressBar, pass: (ms: number) => void) => void,
  columns = 80,
) {
  let now = 0, text = "";
  const stream = {
    isTerminal: () => terminal,
    writeSync(bytes: Uint8Array) {
      text += new TextDecoder().decode(bytes);
      return bytes.length;
    },
  };
  const bar = new ProgressBar("train", "steps", { stream, now: () => now, columns: () => columns });
  use(bar, (ms) => now += ms);
  return text;
}

const LINE_START = "\r\x1b[K";

Deno.test("ProgressBar shows share, count, rate, time left and note on a terminal", () => {
  const text = record(true, (bar, pass) => {
    pass(10_000);
    bar.update(1, 4, "loss 0.5");
  });
  assertEquals(text, `${LINE_START}train  ██████${"░".repeat(18)}  1/4  0.1 steps/s  30 s left  loss 0.5`);
});

Deno.test("ProgressBar leaves its last state standing on a terminal", () => {
  const text = record(true, (bar, pass) => {
    pass(2000);
    bar.update(4, 4);
    bar[Symbol.dispose]();
  });
  assertMatch(text, /4\/4 {2}0 steps\/s {2}in 2 s\n$/);
});

Deno.test("ProgressBar does not redraw a terminal within a tenth of a second", () => {
  const text = record(true, (bar, pass) => {
    bar.update(1, 100);
    pass(99);
    bar.update(2, 100);
  });
  assertEquals(text.split(LINE_START).length - 1, 1);
});

Deno.test("ProgressBar redraws a terminal after a tenth of a second", () => {
  const text = record(true, (bar, pass) => {
    bar.update(1, 100);
    pass(100);
    bar.update(2, 100);
  });
  assertEquals(text.split(LINE_START).length - 1, 2);
});

Deno.test("ProgressBar cuts a line that would wrap", () => {
  const text = record(true, (bar) => bar.update(1, 4, "a long note"), 20);
  assertEquals([...text.slice(LINE_START.length)].length, 19);
});

Deno.test("ProgressBar writes one line where there is no terminal and the work is short", () => {
  const text = record(false, (bar, pass) => {
    bar.update(1, 4);
    pass(2000);
    bar.update(4, 4);
    bar[Symbol.dispose]();
  });
  assertEquals(text, "train  100%  4/4  2 steps/s  in 2 s\n");
});

Deno.test("ProgressBar writes a line every ten seconds where there is no terminal", () => {
  const text = record(false, (bar, pass) => {
    for (let second = 0; second <= 20; second++) {
      bar.update(second, 100);
      pass(1000);
    }
  });
  assertEquals(text.split("\n").length - 1, 2);
});

Deno.test("ProgressBar does not count work that was there before into the rate", () => {
  const text = record(false, (bar, pass) => {
    bar.update(50, 100);
    pass(10_000);
    bar.update(60, 100);
  });
  assertEquals(text, "train  60%  60/100  1 steps/s  40 s left\n");
});

Deno.test("ProgressBar gives times from a minute on in minutes and seconds", () => {
  const text = record(false, (bar, pass) => {
    bar.update(0, 100);
    pass(10_000);
    bar.update(10, 100);
  });
  assertMatch(text, / 1:30 min left\n$/);
});

Deno.test("ProgressBar writes large rates with a unit", () => {
  const text = record(false, (bar, pass) => {
    bar.update(0, 1e9);
    pass(10_000);
    bar.update(4e8, 1e9);
  });
  assertMatch(text, /40M steps\/s/);
});

Deno.test("ProgressBar takes nothing out of nothing as done", () => {
  const text = record(false, (bar) => {
    bar.update(0, 0);
    bar[Symbol.dispose]();
  });
  assertMatch(text, /^train {2}100% {2}0\/0/);
});

Deno.test("ProgressBar draws nothing when it was never updated", () => {
  assertEquals(record(false, (bar) => bar[Symbol.dispose]()), "");
});

for (const terminal of [true, false]) {
  Deno.test(`ProgressBar shows count and rate alone where nobody knows the total (${terminal ? "terminal" : "log"})`, () => {
    const text = record(terminal, (bar, pass) => {
      bar.update(1, Infinity);
      pass(2000);
      bar.update(9, Infinity, "test");
      bar[Symbol.dispose]();
    });
    assertEquals(
      text.split(terminal ? LINE_START : "\n").filter(Boolean).at(-1)!.trimEnd(),
      "train  9  4.5 steps/s  test",
    );
  });
}
