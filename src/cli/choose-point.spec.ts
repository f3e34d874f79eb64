import { faultCode } from '../../test/support/fault-code.ts';
import { recoveryPoint } from '../../test/support/points.ts';
import { choosePoint, withoutGivenUp } from './choose-point.ts';

const A = recoveryPoint({ id: '01KAPX0000000000000000000A' });
const B = recoveryPoint({ id: '01KAPX1111111111111111111B' });
const OTHER = recoveryPoint({ id: '01KAPX2222222222222222222C', vmName: 'db', vmId: 'vm-db' });

describe('choosePoint', () => {
  it.each([
    { what: 'the newest of the VM', points: [B, A, OTHER], asked: 'latest', vm: 'web', found: B },
    { what: 'the newest of the only VM', points: [A, B], asked: 'latest', found: B },
    { what: 'by the id of the VM', points: [A, OTHER], asked: 'latest', vm: 'vm-db', found: OTHER },
    { what: 'by the whole id', points: [A, B, OTHER], asked: OTHER.id, found: OTHER },
    { what: 'by the beginning, in small letters', points: [A, B], asked: '01kapx1', found: B },
  ])('finds $what', ({ points, asked, vm, found }) => {
    expect(choosePoint(points, asked, { vm })).toBe(found);
  });

  it.each([
    { what: 'an empty vault', points: [], asked: 'latest', code: 'point.unknown' },
    { what: 'an absent VM', points: [A], asked: 'latest', vm: 'nobody', code: 'point.unknown' },
    { what: 'one of several VMs', points: [A, OTHER], asked: 'latest', code: 'vm.ambiguous' },
    { what: 'what several start with', points: [A, B], asked: '01KAPX', code: 'request.invalid' },
    { what: 'what none starts with', points: [A, B], asked: '01ZZ', code: 'point.unknown' },
    { what: 'almost nothing', points: [A], asked: '0', code: 'point.unknown' },
    { what: "another VM's", points: [A, OTHER], asked: OTHER.id, vm: 'web', code: 'point.unknown' },
  ])('refuses $what', ({ points, asked, vm, code }) => {
    expect(faultCode(() => choosePoint(points, asked, { vm }))).toBe(code);
  });
});

describe('withoutGivenUp', () => {
  it('takes out what was given up before, so that a command can be repeated', () => {
    const asked = [A.id, '01kapx1', '01KAPX', '01K', OTHER.id, 'latest'];

    expect(withoutGivenUp(asked, [OTHER], [A.id, B.id])).toEqual({
      left: ['01KAPX', '01K', OTHER.id, 'latest'],
      before: [A.id, '01kapx1'],
    });
  });
});
