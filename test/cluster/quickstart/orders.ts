import type { Database } from './databases.ts'

/** Rows of the data set: enough for the bar to move, few enough for a coffee break on two cores. */
export const ORDER_ROWS = 3_000_000

const COLUMNS = `
  id bigint not null,
  order_key uuid not null,
  customer text not null,
  country char(2) not null,
  status text not null,
  quantity integer not null,
  amount numeric(12,2) not null,
  placed_at timestamptz not null,
  shipped_at timestamptz,
  is_gift boolean not null,
  note text,
  attributes jsonb not null`

const NAMES = [
  'Zoë Müller',
  'Łukasz Żak',
  '山田 太郎',
  'Олена Коваль',
  "Seán O'Brien",
  'فاطمة الزهراء',
  'Ana 🦊 Núñez',
  'N/A',
]
const NOTES = [
  'call before 9:00',
  'leave at the door 🚪',
  'größe: 42½',
  '',
  '二階へ',
  'line one\nline two\ttabbed \\ slash',
]

const literal = (text: string): string =>
  `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n').replaceAll('\t', '\\t')}'`
const array = (texts: readonly string[]): string => `(array[${texts.map(literal).join(', ')}])`

/** The rows from one id to another. Every value follows from the id, so that the data set is the same everywhere. */
const insert = (from: number, to: number): string => `
  insert into orders
  select
    id,
    md5(id::text)::uuid,
    ${array(NAMES)}[1 + id % ${NAMES.length}] || ' ' || id % 40009,
    (array['DE', 'PL', 'JP', 'UA', 'IE', 'AE', 'ES'])[1 + id % 7],
    (array['new', 'paid', 'shipped', 'returned'])[1 + id % 4],
    1 + id % 12,
    ((id * 7919) % 1000003)::numeric / 100,
    timestamptz '2021-01-01 00:00:00+00' + id * interval '41.337 seconds',
    case when id % 4 >= 2 then timestamptz '2021-01-03 12:00:00+00' + id * interval '41.337 seconds' end,
    id % 17 = 0,
    case when id % 5 = 0 then ${array(NOTES)}[1 + id % ${NOTES.length}] end,
    jsonb_build_object('channel', (array['web', 'shop', 'phone'])[1 + id % 3], 'tags', jsonb_build_array(id % 10, 'k' || id % 100))
  from generate_series(${from}::bigint, ${to}::bigint) as id`

/** Two sessions, for the two cores that a small machine has. */
const WRITERS = 2

/** Fills `public.orders`, unless it is full. Resolves with whether it was there already. */
export async function ensureOrders(database: Database): Promise<'found' | 'made'> {
  if (await isComplete(database)) return 'found'
  await database.query(`drop table if exists orders; create table orders (${COLUMNS})`)
  const share = Math.ceil(ORDER_ROWS / WRITERS)
  const shares = Array.from({ length: WRITERS }, (_, writer) => writer * share)
  await Promise.all(shares.map((before) => database.query(insert(before + 1, Math.min(before + share, ORDER_ROWS)))))
  // The key comes last and stands for "complete"; the statistics tell a dump how many rows there are.
  await database.query('alter table orders add primary key (id); analyze orders')
  return 'made'
}

/** An empty `public.orders`, as a schema migration would leave it. */
export async function recreateEmptyOrders(database: Database): Promise<void> {
  await database.query(`drop table if exists orders; create table orders (${COLUMNS}, primary key (id))`)
}

async function isComplete(database: Database): Promise<boolean> {
  const keys = await database.query(
    `select from pg_constraint where conrelid = to_regclass('public.orders') and contype = 'p'`,
  )
  return keys.length === 1
}
