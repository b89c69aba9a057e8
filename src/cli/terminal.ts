import type { WriteStream } from 'node:tty'

/** What a command gets of the process around it. Only src/main.ts knows the process itself. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdout: NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns'>>
  readonly stderr: NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns'>>
  readonly signal: AbortSignal
}

export function printLine(stream: NodeJS.WritableStream, line: string): void {
  stream.write(`${line}\n`)
}
