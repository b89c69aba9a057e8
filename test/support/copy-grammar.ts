import type { CopyOptions } from '../../src/postgres/copy-options/schema.ts'
import type { CopyFormat } from '../../src/postgres/copy-options/table.ts'

/**
 * Reads an option clause back, by the grammars of the servers (CopyStmt in gram.y of PostgreSQL 18 and Greenplum 6 and
 * 7): what a clause builder wrote must be what the server reads. Throws where the server would say "syntax error".
 */
export interface ReadClause {
  readonly format: CopyFormat
  readonly options: CopyOptions
  /** Whether Greenplum's `ON SEGMENT` was there; the path is not in the clause. */
  readonly onSegment: boolean
}

type Mutable = { -readonly [Name in keyof CopyOptions]: CopyOptions[Name] }
type Strings = 'delimiter' | 'null' | 'default' | 'quote' | 'escape' | 'encoding'
type Lists = 'forceQuote' | 'forceNotNull' | 'forceNull'

const FORMATS: Readonly<Record<string, CopyFormat>> = { binary: 'Binary', text: 'Text', csv: 'CSV' }
const LISTS: Readonly<Record<string, Lists>> = {
  FORCE_QUOTE: 'forceQuote',
  FORCE_NOT_NULL: 'forceNotNull',
  FORCE_NULL: 'forceNull',
}

/** A condition between parentheses, on lines of its own as the builder writes it; strings; identifiers; words; signs. */
const TOKEN = /\s*(?:(\(\n[\s\S]*\n\))|(E?'(?:[^'\\]|''|\\.|\\\n)*')|("(?:[^"]|"")*")|([A-Za-z_0-9]+)|([(),*]))/y

export function readCopyClause(clause: string): ReadClause {
  return new Reader(clause).clause()
}

class Reader {
  readonly #tokens: string[]
  readonly #options: Mutable = {}
  #format: CopyFormat = 'Text'
  #onSegment = false

  constructor(clause: string) {
    this.#tokens = tokenize(clause)
  }

  clause(): ReadClause {
    if (this.#accept('(')) {
      do this.#generic()
      while (this.#accept(','))
      this.#expect(')')
    } else {
      while (this.#keyword());
    }
    if (this.#accept('WHERE')) this.#options.where = this.#next().slice(2, -2)
    this.#rejects()
    if (this.#accept('IGNORE', 'EXTERNAL', 'PARTITIONS')) this.#options.ignoreExternalPartitions = true
    if (this.#tokens.length > 0) throw new Error(`syntax error at ${this.#tokens[0]}`)
    return { format: this.#format, options: this.#options, onSegment: this.#onSegment }
  }

  /** copy_generic_opt_elem: a label and its argument. */
  #generic(): void {
    const label = this.#next()
    const list = LISTS[label]
    if (label === 'FORMAT') this.#format = FORMATS[this.#next()] ?? 'Text'
    else if (label === 'HEADER') this.#options.header = this.#accept('MATCH') ? 'Match' : 'Present'
    else if (label === 'FREEZE') this.#options.freeze = true
    else if (label === 'OIDS') this.#options.oids = true
    else if (label === 'ON_ERROR') this.#options.onError = this.#next() === 'ignore' ? 'Ignore' : 'Stop'
    else if (label === 'REJECT_LIMIT') this.#options.rejectLimit = Number(this.#next())
    else if (label === 'LOG_VERBOSITY') this.#options.logVerbosity = this.#next() === 'verbose' ? 'Verbose' : 'Silent'
    else if (list !== undefined) this.#options[list] = this.#accept('*') ? ['*'] : this.#bracketed()
    else this.#string(label)
  }

  /** copy_opt_item of Greenplum. */
  #keyword(): boolean {
    const options = this.#options
    if (this.#accept('ON', 'SEGMENT')) this.#onSegment = true
    else if (this.#accept('BINARY')) this.#format = 'Binary'
    else if (this.#accept('CSV')) this.#format = 'CSV'
    else if (this.#accept('HEADER')) options.header = 'Present'
    else if (this.#accept('FREEZE')) options.freeze = true
    else if (this.#accept('OIDS')) options.oids = true
    else if (this.#accept('FORCE', 'QUOTE')) options.forceQuote = this.#accept('*') ? ['*'] : this.#columns()
    else if (this.#accept('FORCE', 'NOT', 'NULL')) options.forceNotNull = this.#columns()
    else if (this.#accept('FORCE', 'NULL')) options.forceNull = this.#columns()
    else if (this.#accept('FILL', 'MISSING', 'FIELDS')) options.fillMissingFields = true
    else if (this.#accept('NEWLINE')) options.newline = readString(this.#next()) as 'LF'
    else if (/^(DELIMITER|NULL|QUOTE|ESCAPE|ENCODING)$/.test(this.#tokens[0] ?? '')) this.#string(this.#next())
    else return false
    return true
  }

  #string(label: string): void {
    if (!/^(DELIMITER|NULL|DEFAULT|QUOTE|ESCAPE|ENCODING)$/.test(label)) throw new Error(`no option ${label}`)
    this.#options[label.toLowerCase() as Strings] = readString(this.#next())
  }

  #rejects(): void {
    const logErrors = this.#accept('LOG', 'ERRORS')
    if (!this.#accept('SEGMENT', 'REJECT', 'LIMIT')) {
      if (logErrors) throw new Error('syntax error after LOG ERRORS')
      return
    }
    const count = Number(this.#next())
    const unit = this.#accept('PERCENT') ? 'Percent' : 'Rows'
    if (unit === 'Rows') this.#expect('ROWS')
    this.#options.segmentRejectLimit = { count, unit }
    if (logErrors) this.#options.logErrors = true
  }

  #bracketed(): string[] {
    this.#expect('(')
    const names = this.#columns()
    this.#expect(')')
    return names
  }

  #columns(): string[] {
    const names: string[] = []
    do names.push(readIdentifier(this.#next()))
    while (this.#accept(','))
    return names
  }

  #next(): string {
    const token = this.#tokens.shift()
    if (token === undefined) throw new Error('syntax error at end of input')
    return token
  }

  #accept(...words: string[]): boolean {
    if (!words.every((word, index) => this.#tokens[index] === word)) return false
    this.#tokens.splice(0, words.length)
    return true
  }

  #expect(token: string): void {
    if (!this.#accept(token)) throw new Error(`syntax error at ${this.#tokens[0]}: expected ${token}`)
  }
}

function tokenize(clause: string): string[] {
  const tokens: string[] = []
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < clause.length) {
    const match = TOKEN.exec(clause)
    if (match === null) throw new Error(`no token in ${clause}`)
    tokens.push(match[0].trimStart())
  }
  return tokens
}

/** A string constant that means the same whatever standard_conforming_strings says: a backslash only where E goes before. */
function readString(token: string): string {
  const match = /^(E?)'([\s\S]*)'$/.exec(token)
  if (match === null) throw new Error(`${token} is no string`)
  const [, escaped = '', body = ''] = match
  if (escaped === '' && body.includes('\\')) throw new Error(`${token} depends on standard_conforming_strings`)
  return body.replaceAll("''", "'").replaceAll('\\\\', '\\')
}

function readIdentifier(token: string): string {
  if (!token.startsWith('"')) throw new Error(`${token} is not quoted`)
  return token.slice(1, -1).replaceAll('""', '"')
}
