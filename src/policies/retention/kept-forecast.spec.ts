import { PolicyDocument } from '../document/policy-document.ts';
import { forecastBytes, forecastKept } from './kept-forecast.ts';

const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2026, 11, 1, 0, 30);

function policy(schedule: object, retention?: object): PolicyDocument {
  return PolicyDocument.parse({
    ...{ name: 'p', selector: { all: true }, vault: 'main', schedule },
    ...(retention === undefined ? {} : { retention }),
  });
}

describe('forecastKept', () => {
  it('says what is there in a year and in five', () => {
    const retention = { last: 3, daily: 14, weekly: 8, monthly: 12, yearly: 5 };
    const document = policy({ cron: '0 */6 * * *' }, retention);

    const [one, five] = forecastKept(document, [], NOW_MS, [1, 5]);

    // The last three, 14 days more, eight weeks more, and nine months before; each year has one of
    // these.
    expect(one?.taken).toBe(4 * 365);
    const rules = Map.groupBy(one?.points ?? [], ({ because }) => because[0]?.rule);
    expect([...rules].map(([rule, some]) => [rule, some.length])).toEqual([
      ...[
        ['monthly', 9],
        ['weekly', 8],
        ['daily', 14],
        ['last', 3],
      ],
    ]);
    expect(five?.points.filter(({ because }) => because[0]?.rule === 'yearly')).toHaveLength(4);
    expect(five?.points.at(-1)?.takenAtMs).toBe(Date.UTC(2031, 10, 30));
  });

  it('keeps what is there now as long as the rules say', () => {
    const present = [1, 40, 700].map((age) => ({
      id: `age ${String(age)}`,
      takenAtMs: NOW_MS - age * DAY_MS,
    }));
    const document = policy({ cron: '0 12 * * *' }, { daily: 10, yearly: 3 });
    const [one] = forecastKept(document, present, NOW_MS, [1]);
    const old = one?.points.filter(({ takenAtMs }) => takenAtMs < NOW_MS) ?? [];
    expect(old.map(({ takenAtMs }) => new Date(takenAtMs).getUTCFullYear())).toEqual([2024]);
  });

  it('keeps everything of a policy without retention', () => {
    const [one] = forecastKept(policy({ every: '1d' }), [], NOW_MS, [1]);
    expect(one?.points).toHaveLength(365);
  });
});

describe('forecastBytes', () => {
  it('says nothing of fewer than seven points', () => {
    const six = Array.from({ length: 6 }, (_, at) => ({ takenAtMs: at, storedBytes: 10 }));
    expect(forecastBytes(six, 30)).toBeUndefined();
    expect(forecastBytes([{ takenAtMs: 0, storedBytes: 1000 }, ...six], 31)).toBe(1300);
  });
});
