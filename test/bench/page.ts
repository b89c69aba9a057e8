import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { chart } from './chart.ts'
import { ROOT } from './child.ts'
import { memoryTable, profileTable, type Report, tables, verdict } from './report.ts'

const DOCS = join(ROOT, 'docs')

const PROFILES =
  'One more run of each, with the sampling profiler of Node in the main thread. CPU seconds of our threads (the pool compresses, decompresses and reads files), of the servers, and what is idle; then what the main thread was seen in most, in shares of its busy time.'

const OTHER_PAGE =
  'Debian’s pg_dump reads no server newer than itself; it is on [the page of PostgreSQL 15](benchmarks-15.md).'

/**
 * Writes docs/benchmarks.json, .svg and .md; the page and the chart are made of what the JSON holds and nothing else.
 * @param older the major of a server that is not the newest, whose files are docs/benchmarks-<major>.*
 */
export async function writePages(report: Report, older?: number): Promise<void> {
  const name = nameOf(older)
  await writeFile(join(DOCS, `${name}.json`), `${JSON.stringify(report, null, 1)}\n`)
  await writeFile(join(DOCS, `${name}.svg`), chart(report.lines))
  await writeFile(join(DOCS, `${name}.md`), page(report, older))
}

function nameOf(older: number | undefined): string {
  return older === undefined ? 'benchmarks' : `benchmarks-${older}`
}

function page(report: Report, older: number | undefined): string {
  const name = nameOf(older)
  const command = older === undefined ? 'npm run bench' : `npm run bench -- --postgres ${older}`
  const { commit, machine, versions, mebibytes, rounds, made, lines, memory, profiles, decode } = report
  const parts = [
    '# Benchmarks',
    `Made by \`${command}\` of the numbers in [${name}.json](${name}.json); not to be edited.`,
    `${made.slice(0, 10)}, commit ${commit}, ${machine}. ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(
        ', ',
      )}. Tables of ${mebibytes} MiB as binary COPY, server and clients on the one machine, TCP loopback without TLS, ${rounds} rounds in which all take turns. A ratio is that of throughput, taken round by round: its median says how much faster a work is than the one it is compared with; start and end are part of it, and on their own in [the dump of one row](#dump-of-one-row). CPU is the client side's, all processes together; so is the peak of resident memory. Servers is the CPU time of all else on the machine meanwhile, and idle what both cores had left.`,
    `![Throughput, ours against the peers](${name}.svg)`,
    ...(older === undefined ? [OTHER_PAGE] : []),
    '## Targets',
    targets(report),
    ...(profiles.length === 0 ? [] : ['## Where the time of the misses goes', PROFILES, profileTable(profiles)]),
    '## All measurements',
    tables(lines),
    memoryTable(memory),
  ]
  if (decode !== '') parts.push('### Typed rows', decode)
  return `${parts
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .join('\n\n')}\n`
}

function targets({ lines }: Report): string {
  const judged = lines.filter((line) => verdict(line) !== '')
  const rows = judged.map((line) => {
    const name = `${line.contest}: ${line.name}`.replaceAll('|', '\\|')
    return `| ${name} | ${line.ratio?.median.toFixed(2) ?? ''} | ${line.peakMiB?.toFixed(0) ?? ''} | ${verdict(line)} |`
  })
  return ['| work | ratio | peak MiB | target |', '|---|---:|---:|---|', ...rows].join('\n')
}
