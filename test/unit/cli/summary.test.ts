import { describe, expect, it } from '@jest/globals'
import { printSummary, type Summary } from '../../../src/cli/summary.ts'
import { fakeTerminal } from '../../support/terminal.ts'

const summary: Summary = {
  from: 'db:5432/app',
  to: 's3://dumps/orders.pgpack',
  objects: 1,
  rows: '9007199254740993',
  bytes: '10485760',
  storedBytes: '1048576',
  seconds: 2.5,
}

describe('the summary', () => {
  it('is one sentence for a person, on stdout', () => {
    const terminal = fakeTerminal()
    printSummary(terminal, 'dumped', summary, false)
    expect(terminal.stdout.text).toBe(
      'dumped db:5432/app -> s3://dumps/orders.pgpack: 9,007,199,254,740,993 rows, 10.0 MiB, 1.0 MiB stored, 0:03 (4.0 MiB/s)\n',
    )
    expect(terminal.stderr.text).toBe('')
  })

  it('says how many rows were rejected, and where they are when they were kept', () => {
    const said = (more: Partial<Summary>) => {
      const terminal = fakeTerminal()
      printSummary(terminal, 'restored', { ...summary, ...more }, false)
      return terminal.stdout.text
    }
    expect(said({ rejectedRows: '0' })).toMatch(/\(4\.0 MiB\/s\)\n$/)
    expect(said({ rejectedRows: '1234' })).toMatch(/; 1,234 rows rejected\n$/)
    expect(said({ rejectedRows: '1', rejects: 'file:///dumps/rejects' })).toMatch(
      /; 1 rows rejected in file:\/\/\/dumps\/rejects\n$/,
    )
  })

  it('is one line of JSON for a script, with counts as decimal strings', () => {
    const terminal = fakeTerminal()
    printSummary(terminal, 'dumped', summary, true)
    expect(terminal.stdout.lines).toHaveLength(1)
    expect(JSON.parse(terminal.stdout.text)).toEqual(summary)
  })

  it('divides by no time at all without a word of it', () => {
    const terminal = fakeTerminal()
    printSummary(terminal, 'dumped', { ...summary, seconds: 0 }, false)
    expect(terminal.stdout.text).toContain('0:00 (at once)')
  })
})
