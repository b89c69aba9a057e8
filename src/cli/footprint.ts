import { setFlagsFromString } from 'node:v8'
import type { Footprint } from './terminal.ts'

/** The process's own: flags of V8 hold for all that runs in it. */
export const processFootprint: Footprint = {
  keepHeapSmall: () => setFlagsFromString('--semi-space-growth-factor=1'),
  leaveUnoptimized: () => {
    setFlagsFromString('--no-opt')
    setFlagsFromString('--no-maglev')
  },
}
