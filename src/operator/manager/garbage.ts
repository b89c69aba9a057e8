import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * A function that collects garbage soon, once for however many calls come until then. A full list leaves several times
 * the size of its objects behind, in V8's old generation, which a process that then idles keeps for hours: 30 MiB for
 * a thousand runs, half of the operator's memory.
 */
export function createGarbageCollector(): () => void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as (options: { type: 'major'; flavor: 'last-resort' }) => void
  let isDue = false
  return () => {
    if (isDue) return
    isDue = true
    setImmediate(() => {
      isDue = false
      // The ordinary flavour keeps the freed pages for a heap that grows again
      collect({ type: 'major', flavor: 'last-resort' })
    })
  }
}
