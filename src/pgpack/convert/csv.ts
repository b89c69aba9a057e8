import { PgpackError } from '../../errors.ts'
import type { PGPackColumn } from '../columns.ts'
import type { Codec } from '../rows/codec.ts'
import type { Row } from '../rows/row-decoder.ts'

const QUOTE = '"'

/**
 * Rows as COPY … (FORMAT csv) writes them: NULL is nothing, the empty string `""`; quotes where the text has a comma, a
 * quote or a line break, or is `\.` alone on its line, which old readers take for the end of the data.
 */
export function csvFormatter(codecs: readonly Codec[]): (row: Row) => string {
  const alone = codecs.length === 1
  return (row) => {
    let line = ''
    for (let index = 0; index < codecs.length; index++) {
      const value = row[index]
      if (index > 0) line += ','
      if (value !== null) line += quoteCSV(codecs[index]?.format(value) ?? '', alone)
    }
    return `${line}\n`
  }
}

export function csvHeader(columns: readonly PGPackColumn[]): string {
  return `${columns.map(({ name }) => quoteCSV(name, false)).join(',')}\n`
}

function quoteCSV(text: string, alone: boolean): string {
  const quoted = text === '' || /[",\r\n]/.test(text) || (alone && text === '\\.')
  return quoted ? `"${text.replaceAll(QUOTE, '""')}"` : text
}

/** The fields of a line; null where nothing stands, not even quotes. */
export type CSVRecord = (string | null)[]

const PLAIN = /[^",\r\n]*/y

/**
 * Reads CSV as COPY … FROM … (FORMAT csv) does: quotes may stand anywhere in a field, line breaks inside of them count,
 * lines end with LF, CR LF or CR. `\.` is data. Text comes in pieces of any size.
 */
export class CSVParser {
  readonly #maxRecord: number
  #record: CSVRecord = []
  #field = ''
  #quotedField = false
  #inQuotes = false
  /** A quote or CR at the end of a piece, whose meaning the next character decides. */
  #pending = ''
  #length = 0
  #records = 0

  /** @param maxRecord characters of a record, so that a quote that is never closed does not take all memory */
  constructor(maxRecord: number) {
    this.#maxRecord = maxRecord
  }

  /** The records that the piece completes. @throws PgpackError PGPACK_LIMIT */
  *push(piece: string): Generator<CSVRecord> {
    const text = this.#pending + piece
    this.#pending = ''
    let at = 0
    while (at < text.length && this.#pending === '') {
      if (this.#inQuotes) at = this.#quoted(text, at)
      else {
        at = this.#plain(text, at)
        const end = text[at]
        if (end === '\n' || (end === '\r' && at < text.length - 1)) {
          at += end === '\r' && text[at + 1] === '\n' ? 2 : 1
          yield this.#endRecord()
        } else if (end !== undefined) {
          at++
          this.#takeSign(end)
        }
      }
    }
  }

  /** The last record, where no line break ends it. @throws PgpackError PGPACK_VALUE for an open quote */
  *end(): Generator<CSVRecord> {
    const pending = this.#pending
    this.#pending = ''
    if (this.#inQuotes && pending !== QUOTE) {
      throw new PgpackError('PGPACK_VALUE', `record ${this.#records + 1} of the CSV: a quote is not closed`, {
        expected: 'a closing quote',
        found: 'the end of the file',
      })
    }
    this.#inQuotes = false
    if (pending === '\r' || this.#length > 0 || this.#record.length > 0 || this.#quotedField) yield this.#endRecord()
  }

  #takeSign(sign: string): void {
    if (sign === ',') this.#endField()
    else if (sign === '\r') this.#pending = sign
    else {
      this.#inQuotes = true
      this.#quotedField = true
    }
  }

  #plain(text: string, at: number): number {
    PLAIN.lastIndex = at
    const [run = ''] = PLAIN.exec(text) ?? []
    this.#append(run)
    return at + run.length
  }

  /** Up to the closing quote, which is passed over; a doubled one is one of the text. */
  #quoted(text: string, from: number): number {
    const quote = text.indexOf(QUOTE, from)
    if (quote < 0) {
      this.#append(text.slice(from))
      return text.length
    }
    this.#append(text.slice(from, quote))
    if (quote === text.length - 1) {
      this.#pending = QUOTE
      return text.length
    }
    if (text[quote + 1] === QUOTE) {
      this.#append(QUOTE)
      return quote + 2
    }
    this.#inQuotes = false
    return quote + 1
  }

  #append(text: string): void {
    this.#length += text.length
    if (this.#length > this.#maxRecord) {
      const limit = `${this.#maxRecord} characters`
      throw new PgpackError(
        'PGPACK_LIMIT',
        `record ${this.#records + 1} of the CSV has more than ${limit}: a quote may not be closed; raise maxRowBytes if it is genuine`,
        { expected: `${limit} at most`, found: 'more' },
      )
    }
    this.#field += text
  }

  #endField(): void {
    this.#record.push(this.#field === '' && !this.#quotedField ? null : this.#field)
    this.#field = ''
    this.#quotedField = false
  }

  #endRecord(): CSVRecord {
    this.#endField()
    const record = this.#record
    this.#record = []
    this.#length = 0
    this.#records++
    return record
  }
}
