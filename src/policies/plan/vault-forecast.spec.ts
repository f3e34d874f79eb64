import { PolicyDocument } from '../document/policy-document.ts';
import { forecastVaults } from './vault-forecast.ts';

const load = (schedule: object, vms: number, more: object = {}) => ({
  document: PolicyDocument.parse({
    ...{ name: 'p', selector: { all: true }, vault: 'main', schedule },
    ...more,
  }),
  vms,
});

const NOW_MS = Date.UTC(2026, 10, 30);

const perYear = (schedule: object): number =>
  forecastVaults([load(schedule, 1)], NOW_MS)[0]?.pointsPerYear ?? NaN;

describe('forecastVaults', () => {
  it.each([
    [{ every: '15m' }, 35_040],
    [{ cron: '0 * * * *' }, 8760],
    [{ cron: '@daily', zone: 'Europe/Berlin' }, 365],
    [{ cron: '0 3 * * 1-5' }, 261],
    [{ cron: '@weekly' }, 52],
    [{ cron: '@monthly' }, 12],
    [{ cron: '0 0 29 2 *' }, 0],
  ])('counts the points of %j', (schedule, expected) => {
    expect(perYear(schedule)).toBeGreaterThanOrEqual(expected * 0.98);
    expect(perYear(schedule)).toBeLessThanOrEqual(expected * 1.02 + 1);
  });

  it('adds up the policies of each vault', () => {
    const loads = [
      load({ every: '1d' }, 10, { retention: { daily: 7, monthly: 3 } }),
      load({ every: '1d' }, 2),
      load({ every: '1d' }, 1, { vault: 'a-second' }),
    ];

    expect(forecastVaults(loads, NOW_MS)).toEqual([
      {
        ...{ vault: 'a-second', pointsPerYear: 365, permanentObjectsPerYear: 365 },
        after: [
          { years: 1, points: 365, retiredObjects: 0, listRequests: 1 },
          { years: 5, points: 1825, retiredObjects: 0, listRequests: 4 },
        ],
      },
      {
        ...{ vault: 'main', pointsPerYear: 4380, permanentObjectsPerYear: 4380 },
        after: [
          { years: 1, points: 830, retiredObjects: 3550, listRequests: 6 },
          { years: 5, points: 3750, retiredObjects: 18_150, listRequests: 27 },
        ],
      },
    ]);
  });

  it('counts no objects of VMs that are not there', () => {
    expect(forecastVaults([load({ every: '1m' }, 0)], NOW_MS)[0]).toMatchObject({
      permanentObjectsPerYear: 0,
      after: [{ points: 0 }, { points: 0 }],
    });
  });
});
