import { Writable } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import type { Terminal } from '../../src/cli/terminal.ts'

/** A stream that keeps what is written to it. */
export class TextStream extends Writable {
  readonly isTTY: boolean
  readonly columns?: number
  text = ''

  constructor(isTTY: boolean) {
    super({ decodeStrings: false })
    this.isTTY = isTTY
    if (isTTY) this.columns = 120
  }

  override _write(chunk: Buffer | string, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString()
    done()
  }

  /** Without colours and cursor movements. */
  get plain(): string {
    return stripVTControlCharacters(this.text)
  }

  get lines(): string[] {
    return this.text.split('\n').slice(0, -1)
  }
}

export interface FakeTerminal extends Terminal {
  readonly stdout: TextStream
  readonly stderr: TextStream
  readonly abort: (reason?: unknown) => void
}

/** A process around a command: what it writes is kept, its signal is fired by `abort`. */
export function fakeTerminal(options: { readonly tty?: boolean; readonly env?: Terminal['env'] } = {}): FakeTerminal {
  const stop = new AbortController()
  const tty = options.tty ?? false
  return {
    env: options.env ?? {},
    stdout: new TextStream(tty),
    stderr: new TextStream(tty),
    signal: stop.signal,
    abort: (reason) => stop.abort(reason),
  }
}
