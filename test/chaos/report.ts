import { FAULT_NAMES, infoOf } from './faults.ts'
import { type ChaosReport, countHits } from './player.ts'
import type { RunOutcome } from './verdict.ts'

/** The report of a run of chaos: what was done, what became of the runs, what is not true. */
export function formatReport(report: ChaosReport): string {
  const { seed, injected, outcomes, manifests, attempts, problems, seconds } = report
  const hits = injected.filter(({ hit }) => hit !== undefined).length
  const kinds = [
    ['dumps', outcomes.map(({ dump }) => dump)],
    ['restores by Append', outcomes.filter(({ mode }) => mode === 'Append').map(({ restore }) => restore)],
    ['restores by Truncate', outcomes.filter(({ mode }) => mode === 'Truncate').map(({ restore }) => restore)],
  ] as const
  const more = [...attempts.values()].filter((count) => count > 1)
  return [
    `seed ${seed}: ${hits} faults in ${Math.round(seconds)} s; to do the same again: npm run chaos -- --seed ${seed} --faults ${injected.length}`,
    table([['fault', 'done', 'nothing to hit', ''], ...faultRows(report)]),
    table([['runs', 'made', 'succeeded', 'failed', 'by reason'], ...kinds.map(([name, runs]) => runRow(name, runs))]),
    `${more.length} runs took more than one attempt, at most ${Math.max(0, ...more)}; ${manifests.length} manifests in the store, each compared with its files.`,
    table([
      ['lost', 'stuck', 'not true'],
      [count(problems, 'is lost'), count(problems, 'is stuck'), String(problems.length)],
    ]),
    ...problems,
  ].join('\n\n')
}

function faultRows({ injected }: ChaosReport): string[][] {
  return FAULT_NAMES.map((name) => {
    const { hit, missed } = countHits(injected, name)
    return [name, String(hit), String(missed), infoOf(name).what]
  })
}

function runRow(name: string, runs: readonly RunOutcome[]): string[] {
  const failed = runs.filter(({ status }) => status === 'False')
  const reasons = Map.groupBy(failed, ({ reason }) => reason)
  const byReason = [...reasons].map(([reason, each]) => `${reason} ${each.length}`).join(', ')
  const succeeded = runs.filter(({ status }) => status === 'True').length
  return [name, String(runs.length), String(succeeded), String(failed.length), byReason]
}

function count(problems: readonly string[], words: string): string {
  return String(problems.filter((problem) => problem.includes(words)).length)
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
