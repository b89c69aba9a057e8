import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Buffers between two minor collections. Less than what is in use at once would make each buffer outlive two of them. */
const BYTES_PER_MINOR_COLLECTION = 4 * 1024 * 1024
/** Buffers that outlived two minor collections are freed by a major one only: due when so many bytes have piled up. */
const GROWTH_PER_MAJOR_COLLECTION = 16 * 1024 * 1024

type CollectGarbage = (options: { type: 'minor' | 'major' }) => void

let gc: CollectGarbage | undefined

/** Exposes V8's collector when it is first needed: that costs a start some milliseconds. */
function collect(options: { type: 'minor' | 'major' }): void {
  if (gc === undefined) {
    setFlagsFromString('--expose-gc')
    gc = runInNewContext('gc') as CollectGarbage
  }
  gc(options)
}

/**
 * A function to call once a chunk. Buffers that nobody gives back (src/memory.ts) lie outside V8's heap and die young, but
 * V8 sees only small handles and lets them pile up; collections now and then keep memory flat.
 */
export function createCollector(): () => void {
  const bytesNow = () => getHeapStatistics().external_memory
  let mark = bytesNow()
  let floor = mark
  return () => {
    const bytes = bytesNow()
    mark = Math.min(mark, bytes)
    if (bytes - mark < BYTES_PER_MINOR_COLLECTION) return
    collect({ type: 'minor' })
    mark = bytesNow()
    floor = Math.min(floor, mark)
    if (mark - floor < GROWTH_PER_MAJOR_COLLECTION) return
    collect({ type: 'major' })
    mark = bytesNow()
    floor = mark
  }
}
