/**
 * `npm run chaos`: faults at random, on the real cluster of test/cluster, against dumps and restores at work; then a
 * table of what became of them.
 *
 * `-- --seed 7 --faults 100 --lanes 4`: the seed decides order, time and aim of the faults, and is printed. The exit code
 * is 1 where a run's end is not true.
 */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { ensureCluster } from '../cluster/index.ts'
import { playChaos } from './player.ts'
import { formatReport } from './report.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    faults: { type: 'string', default: '100' },
    lanes: { type: 'string', default: '4' },
  },
})
const seed = Number(values.seed)
process.stderr.write(`seed ${seed}\n`)
const report = await playChaos(await ensureCluster(), {
  seed,
  faults: Number(values.faults),
  lanes: Number(values.lanes),
  tell: (line) => void process.stderr.write(`${line}\n`),
})
process.stdout.write(`${formatReport(report)}\n`)
if (report.problems.length > 0) process.exitCode = 1
