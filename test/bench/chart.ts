import type { Line } from './report.ts'

const WIDTH = 760
const LABEL_WIDTH = 290
const BAR_HEIGHT = 15
const ROW_HEIGHT = 20
const TITLE_HEIGHT = 34
const COLOURS = { ours: '#2563eb', theirs: '#94a3b8', text: '#475569' }

/** Bars of throughput, contest by contest, as SVG that reads on a light and on a dark page. */
export function chart(lines: readonly Line[]): string {
  const parts: string[] = []
  let top = 8
  const moving = lines.filter(({ section }) => section !== 'start')
  for (const contest of new Set(moving.map((line) => line.contest))) {
    const measured = lines.filter((line) => line.contest === contest && line.mebibytesPerSecond !== undefined)
    parts.push(group(contest, measured, top))
    top += TITLE_HEIGHT + measured.length * ROW_HEIGHT
  }
  const size = `width="${WIDTH}" height="${top + 8}" viewBox="0 0 ${WIDTH} ${top + 8}"`
  const font = `font-family="system-ui, sans-serif" font-size="12" fill="${COLOURS.text}"`
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" ${size} ${font}>\n<title>Throughput, ours against the peers</title>\n${parts.join('\n')}\n</svg>\n`
}

function group(title: string, lines: readonly Line[], top: number): string {
  const fastest = Math.max(1, ...lines.map((line) => line.mebibytesPerSecond ?? 0))
  const heading = `<text x="8" y="${top + 20}" font-weight="bold">${escapeXML(title)}, MiB/s</text>`
  return [heading, ...lines.map((line, index) => bar(line, fastest, top + TITLE_HEIGHT + index * ROW_HEIGHT))].join(
    '\n',
  )
}

function bar({ name, mebibytesPerSecond = 0 }: Line, fastest: number, top: number): string {
  const length = ((WIDTH - LABEL_WIDTH - 60) * mebibytesPerSecond) / fastest
  const colour = name.startsWith('pgpack ') || name.startsWith('pgpack,') ? COLOURS.ours : COLOURS.theirs
  const y = top + BAR_HEIGHT - 3
  return [
    `<text x="${LABEL_WIDTH - 8}" y="${y}" text-anchor="end">${escapeXML(name)}</text>`,
    `<rect x="${LABEL_WIDTH}" y="${top}" width="${length.toFixed(1)}" height="${BAR_HEIGHT}" fill="${colour}"/>`,
    `<text x="${(LABEL_WIDTH + length + 6).toFixed(1)}" y="${y}">${mebibytesPerSecond.toFixed(0)}</text>`,
  ].join('')
}

function escapeXML(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
