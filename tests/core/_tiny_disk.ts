/** Tests on a disk that is soon full. */
import { withFolder } from "../plugins/_folders.ts";

/** Declares a test on a disk of 64 KiB; it is skipped, by name, where such a disk cannot be mounted. */
export function tinyDiskTest(name: string, fn: (folder: string) => Promise<void>): void {
  Deno.test({
    name: `${name} (needs to mount a tmpfs)`,
    ignore: !canMount,
    fn: () =>
      withFolder(async (folder) => {
        mount(folder);
        try {
          await fn(folder);
        } finally {
          run("umount", folder);
        }
      }),
  });
}

const mount = (folder: string) => run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder);

/** Makes room on the disk of a test. */
export function growDisk(folder: string): void {
  run("mount", "-o", "remount,size=1m", folder);
}

/** Forbids to write to the disk of a test. */
export function freezeDisk(folder: string): void {
  run("mount", "-o", "remount,ro", folder);
}

const canMount = Deno.build.os === "linux" && Deno.uid() === 0 && triesToMount();

function triesToMount(): boolean {
  const folder = Deno.makeTempDirSync();
  try {
    return mount(folder) && run("umount", folder);
  } finally {
    Deno.removeSync(folder);
  }
}

function run(command: string, ...args: string[]): boolean {
  return new Deno.Command(command, { args, stdout: "null", stderr: "null" }).outputSync().success;
}
