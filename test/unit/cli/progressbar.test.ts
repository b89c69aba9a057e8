import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { progressDisplay } from '../../../src/cli/progressbar.ts'
import type { Progress } from '../../../src/run/progress.ts'
import { type FakeTerminal, fakeTerminal } from '../../support/terminal.ts'

const MIB = 1024 * 1024
const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'

const at = (rows: number, percent?: number): Progress => ({
  objects: 1,
  objectsDone: 0,
  rows: String(rows),
  bytes: String(rows * 1024),
  storedBytes: '0',
  ...(percent === undefined ? {} : { percent }),
})

describe('progress where nobody looks at a terminal', () => {
  it('is plain lines with percent, rows, bytes and bytes a second', () => {
    const terminal = fakeTerminal()
    const clock = { ms: 500 }
    const display = progressDisplay(terminal, false, () => clock.ms)
    display.show(at(0, 0))
    clock.ms += 2000
    display.show(at(4096, 25))
    display.stop()
    expect(terminal.stderr.lines).toEqual(['0% 0 rows, 0 B, 0 B/s', `25% 4,096 rows, 4.0 MiB, 2.0 MiB/s`])
    expect(terminal.stderr.text).not.toContain('\u001b')
    expect(terminal.stdout.text).toBe('')
  })

  it('names no percent where the size is not known', () => {
    const terminal = fakeTerminal()
    const clock = { ms: 0 }
    const display = progressDisplay(terminal, false, () => clock.ms)
    clock.ms = 1000
    display.show(at(2048))
    expect(terminal.stderr.lines).toEqual(['2,048 rows, 2.0 MiB, 2.0 MiB/s'])
  })

  it('asks to be told every few seconds only', () => {
    expect(progressDisplay(fakeTerminal(), false, () => 0).intervalMs).toBeGreaterThanOrEqual(1000)
  })
})

describe('progress that a script does not want', () => {
  it.each([true, false])('is not shown, on a terminal: %s', (tty) => {
    const terminal = fakeTerminal({ tty })
    const display = progressDisplay(terminal, true, () => 0)
    display.show(at(1, 1))
    display.stop()
    expect(terminal.stderr.text + terminal.stdout.text).toBe('')
  })
})

describe('progress on a terminal', () => {
  let terminal: FakeTerminal
  const clock = { ms: 0 }

  beforeEach(() => {
    jest.useFakeTimers()
    terminal = fakeTerminal({ tty: true })
    clock.ms = 0
  })
  afterEach(() => {
    jest.useRealTimers()
  })

  /** Shows one report, `seconds` after the start, and gives what stands on the line afterwards. */
  function lineAfter(seconds: number, progress: Progress): string {
    const display = progressDisplay(terminal, false, () => clock.ms)
    clock.ms = seconds * 1000
    display.show(progress)
    jest.advanceTimersByTime(1000)
    display.stop()
    return terminal.stderr.plain
  }

  it('is a bar with percent, rows, bytes, speed and the time left', () => {
    const line = lineAfter(30, at(60 * 1024, 25))
    expect(line).toMatch(/█{6}░{18} 25% \| 61,440 rows, 60\.0 MiB, 2\.0 MiB\/s \| 1:30 left/)
  })

  it('has neither bar nor time left where the size is not known', () => {
    const line = lineAfter(30, at(60 * 1024))
    expect(line).toContain('61,440 rows, 60.0 MiB, 2.0 MiB/s')
    expect(line).not.toMatch(/%|left|█|░\s/)
  })

  it.each([0, 100])('guesses no time left at %s %%', (percent) => {
    expect(lineAfter(30, at(1, percent))).not.toContain('left')
  })

  it('stands on stderr, so that stdout stays free', () => {
    lineAfter(1, at(1, 1))
    expect(terminal.stdout.text).toBe('')
  })

  it('leaves the cursor and the line as a next line needs them', () => {
    lineAfter(1, at(1, 1))
    const { text } = terminal.stderr
    expect(text).toContain(HIDE_CURSOR)
    expect(text.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(text.lastIndexOf(HIDE_CURSOR))
    expect(text.endsWith('\n')).toBe(true)
  })

  it('draws nothing after it was stopped, and holds no timer that keeps the process', () => {
    const display = progressDisplay(terminal, false, () => clock.ms)
    display.show(at(1, 1))
    display.stop()
    const { text } = terminal.stderr
    jest.advanceTimersByTime(5000)
    expect(terminal.stderr.text).toBe(text)
    expect(jest.getTimerCount()).toBe(0)
  })

  it('leaves no signal handlers behind', () => {
    const before = process.listenerCount('SIGTERM') + process.listenerCount('SIGINT')
    lineAfter(1, at(1, 1))
    expect(process.listenerCount('SIGTERM') + process.listenerCount('SIGINT')).toBe(before)
  })

  it('is told several times a second', () => {
    const display = progressDisplay(terminal, false, () => 0)
    display.stop()
    expect(display.intervalMs).toBeLessThanOrEqual(500)
  })

  it('fits one line of 120 columns with the largest of counts', () => {
    const huge: Progress = {
      objects: 1,
      objectsDone: 0,
      rows: '999999999999',
      bytes: String(MIB ** 2 * 900),
      storedBytes: '0',
      percent: 50,
    }
    const line = lineAfter(100_000, huge)
      .split(/[\r\n]/)
      .findLast((part) => part.includes('rows'))
    expect(line?.length).toBeLessThanOrEqual(120)
  })
})
