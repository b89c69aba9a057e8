import type { WriteStream } from 'node:tty'

/** What a command gets of the process around it. Only src/main.ts knows the process itself. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdout: NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns'>>
  readonly stderr: NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns'>>
  readonly signal: AbortSignal
  /** Absent where the process is somebody else's. */
  readonly footprint?: Footprint
}

/** What makes a process smaller whose work is not in JavaScript. */
export interface Footprint {
  /** For bytes outside of V8's heap: the few objects beside them need no young generation that grows. 5 MiB. */
  keepHeapSmall(): void
  /** For work that looks at no single row: the optimizing compilers, and what they make, are 5 MiB. */
  leaveUnoptimized(): void
}

export function printLine(stream: NodeJS.WritableStream, line: string): void {
  stream.write(`${line}\n`)
}
