import { bombs } from './bombs.ts'
import { assemble, corpus, pickSample, type Sample } from './corpus.ts'
import { hostileMetadata } from './hostile.ts'
import type { Random } from './random.ts'

/** Makes a file out of a valid one. The file may come out valid again, or even the same. */
export type Mutation = (sample: Sample, random: Random) => Buffer

const MAX_HITS = 8

/** Changes up to MAX_HITS places of a copy, which lie at `from` or behind it. */
function hit(bytes: Buffer, random: Random, change: (copy: Buffer, at: number) => void, from = 0): Buffer {
  const copy = Buffer.from(bytes)
  if (copy.length <= from) return copy
  for (let hits = random.skewed(1, MAX_HITS); hits > 0; hits--) change(copy, from + random.below(copy.length - from))
  return copy
}

const flipBit = (random: Random) => (copy: Buffer, at: number) => {
  copy.writeUInt8(copy.readUInt8(at) ^ (1 << random.below(8)), at)
}

const writeByte = (random: Random) => (copy: Buffer, at: number) => {
  copy.writeUInt8(random.chance(2) ? random.pick([0, 1, 0x7f, 0x80, 0xff]) : random.below(256), at)
}

/** A number at a border, of 2 or 4 bytes and either byte order: what a length or count may be. */
const writeNumber = (random: Random) => (copy: Buffer, at: number) => {
  const number = Buffer.alloc(4)
  if (random.chance(2)) number.writeUInt32BE(random.border())
  else number.writeUInt32LE(random.border())
  number.copy(copy, at, random.pick([0, 2]))
}

/** The three lengths of the head, or those at the end. */
function mutateLengths({ file, frames, layout }: Sample, random: Random): Buffer {
  const copy = Buffer.from(file)
  if (random.chance(3)) {
    copy.writeUInt32BE((copy.readUInt32BE(12) + random.pick([-1, 1, 17, -17, 2 ** 31])) >>> 0, 12)
    return copy
  }
  const body = Buffer.concat(frames).length
  const lengths = layout === 'stream' ? copy.length - 16 : copy.length - body - 16
  const at = lengths + random.pick([0, 8])
  const found = copy.readBigUInt64BE(at)
  const off = BigInt(random.pick([-1, 1, -16, 16, 1000]))
  const wrong = [0n, 1n, found + off, found << 1n, 1n << 31n, 1n << 53n, 1n << 63n, -1n]
  copy.writeBigUInt64BE(BigInt.asUintN(64, random.pick(wrong)), at)
  return copy
}

/** Frames left out, twice, in another order or from another file; lengths that fit or those from before. */
function mutateFrames(sample: Sample, random: Random): Buffer {
  const frames = [...sample.frames]
  const at = random.below(frames.length)
  const other = random.pick(corpus.filter((one) => one.method === sample.method))
  const foreign = other.frames[random.below(other.frames.length)] ?? Buffer.alloc(0)
  random.pick([
    () => frames.splice(at, 1 + random.below(3)),
    () => frames.splice(at, 0, frames[at] ?? foreign),
    () => frames.splice(at, 1, ...frames.splice(random.below(frames.length), 1)),
    () => frames.splice(at, random.below(2), foreign),
    () => frames.reverse(),
  ])()
  const mutant = assemble({ ...sample, frames, rawLength: random.chance(2) ? sample.rawLength : random.below(9999) })
  if (random.chance(2)) return mutant
  const head = sample.file.subarray(0, sample.file.length - Buffer.concat(sample.frames).length)
  return sample.layout === 'header' ? Buffer.concat([head, ...frames]) : mutant
}

/** Damage in a frame's own head or tail, with lengths around it that fit. */
function mutateFrameEdges(sample: Sample, random: Random): Buffer {
  const change = random.pick([flipBit, writeByte, writeNumber])(random)
  const chosen = random.below(sample.frames.length)
  const frames = sample.frames.map((frame, index) => {
    if (index !== chosen || frame.length === 0) return frame
    const copy = Buffer.from(frame)
    const near = random.below(Math.min(copy.length, 16))
    change(copy, random.chance(4) ? copy.length - 1 - near : near)
    return copy
  })
  return assemble({ ...sample, frames })
}

/** A damaged raw body, stored and measured as a good one: what only the walk over the rows can find. */
function mutateRows(sample: Sample, random: Random): Buffer {
  const change = random.pick([flipBit, writeByte, writeNumber])(random)
  const cut = random.below(sample.raw.length)
  const raw = random.pick([
    () => hit(sample.raw, random, change, random.pick([0, 0, 11, 19])),
    () => sample.raw.subarray(0, cut),
    () => Buffer.concat([sample.raw, random.chance(2) ? Buffer.of(0xff, 0xff) : random.bytes(random.skewed(1, 40))]),
    () => Buffer.concat([sample.raw.subarray(0, cut), sample.raw.subarray(random.below(sample.raw.length))]),
  ])()
  return assemble({ ...sample, frames: sample.encode(raw), rawLength: raw.length })
}

function splice({ file }: Sample, random: Random): Buffer {
  const other = pickSample(random).file
  return Buffer.concat([file.subarray(0, random.below(file.length)), other.subarray(random.below(other.length))])
}

function insertOrRemove({ file }: Sample, random: Random): Buffer {
  const at = random.below(file.length)
  const length = random.skewed(1, 64)
  if (random.chance(2)) return Buffer.concat([file.subarray(0, at), file.subarray(at + length)])
  return Buffer.concat([file.subarray(0, at), random.bytes(length), file.subarray(at)])
}

const extend = ({ file }: Sample, random: Random) =>
  Buffer.concat([file, random.pick([random.bytes(random.skewed(1, 64)), Buffer.alloc(16), file])])

/** Every kind gets the same number of cases. */
export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'bit flips': ({ file }, random) => hit(file, random, flipBit(random)),
  'byte writes': ({ file }, random) => hit(file, random, writeByte(random)),
  numbers: ({ file }, random) => hit(file, random, writeNumber(random)),
  'length fields': mutateLengths,
  truncation: ({ file }, random) => file.subarray(0, random.below(file.length)),
  'bytes behind': extend,
  'bytes in, out': insertOrRemove,
  splices: splice,
  frames: mutateFrames,
  'frame edges': mutateFrameEdges,
  rows: mutateRows,
  metadata: (sample, random) => assemble({ ...sample, metadata: hostileMetadata(sample, random) }),
  bombs: bombs,
}
