/** Where a step writes what it says; closed when it has ended. */
export interface Section {
  write(text: string | Uint8Array): void
  close(): void
}

/**
 * Output of steps that run at the same time, as if one had run after the other: the earliest section that is open is
 * written as it comes, and the later ones are kept until it is their turn.
 */
export class Sections {
  readonly #waiting: Page[] = []
  readonly #write: (text: string | Uint8Array) => void

  constructor(write: (text: string | Uint8Array) => void) {
    this.#write = write
  }

  /** A section below all that were opened before it. */
  open(title: string): Section {
    const page: Page = { kept: [`\n== ${title}\n`], isClosed: false }
    this.#waiting.push(page)
    this.#turn()
    return {
      write: (text) => {
        page.kept.push(text)
        this.#turn()
      },
      close: () => {
        page.isClosed = true
        this.#turn()
      },
    }
  }

  #turn(): void {
    for (;;) {
      const [first] = this.#waiting
      for (const text of first?.kept.splice(0) ?? []) this.#write(text)
      if (first?.isClosed !== true) return
      this.#waiting.shift()
    }
  }
}

interface Page {
  /** What was not yet written. */
  readonly kept: (string | Uint8Array)[]
  isClosed: boolean
}
