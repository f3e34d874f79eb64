import { faultCode } from '../../../test/support/service/fault-code.ts';
import { recoveryPoint } from '../../../test/support/vault/points.ts';
import { choosePoint, withoutGivenUp } from './choose-point.ts';

const A = recoveryPoint({ id: '01KAPX0000000000000000000A' });
const B = recoveryPoint({ id: '01KAPX1111111111111111111B' });
const SAME = recoveryPoint({ id: '01KAPX3333333333333333333D', vmId: 'vm-same' });
const OTHER = recoveryPoint({ id: '01KAPX2222222222222222222C', vmName: 'db', vmId: 'vm-db' });

describe('choosePoint', () => {
  it.each([
    { what: 'the newest of the VM', points: [A, B, OTHER], asked: 'latest', vm: 'web', found: B },
    { what: 'the newest of the only VM', points: [A, B], asked: 'latest', found: B },
    { what: 'by the VM id', points: [A, OTHER], asked: 'latest', vmId: 'vm-db', found: OTHER },
    {
      what: 'by the VM id where two have one name',
      points: [A, SAME],
      asked: 'latest',
      vm: 'web',
      vmId: A.vmId,
      found: A,
    },
    {
      what: 'by the beginning of the VM id',
      points: [A, OTHER],
      asked: 'latest',
      vmId: 'VM-D',
      found: OTHER,
    },
    { what: 'by the whole id', points: [A, B, OTHER], asked: OTHER.id, found: OTHER },
    { what: 'by the beginning, in small letters', points: [A, B], asked: '01kapx1', found: B },
  ])('finds $what', ({ points, asked, vm, vmId, found }) => {
    expect(choosePoint(points, asked, { vm, vmId })).toBe(found);
  });

  it.each([
    { what: 'an empty vault', points: [], asked: 'latest', code: 'point.unknown' },
    { what: 'an absent VM', points: [A], asked: 'latest', vm: 'nobody', code: 'point.unknown' },
    { what: 'one of several VMs', points: [A, OTHER], asked: 'latest', code: 'vm.ambiguous' },
    { what: 'what several start with', points: [A, B], asked: '01KAPX', code: 'request.invalid' },
    { what: 'what none starts with', points: [A, B], asked: '01ZZ', code: 'point.unknown' },
    { what: 'almost nothing', points: [A], asked: '0', code: 'point.unknown' },
    {
      what: 'an id as a name',
      points: [OTHER],
      asked: 'latest',
      vm: 'vm-db',
      code: 'point.unknown',
    },
    {
      what: 'one name of two',
      points: [A, SAME],
      asked: 'latest',
      vm: 'web',
      code: 'vm.ambiguous',
    },
    { what: "another VM's", points: [A, OTHER], asked: OTHER.id, vm: 'web', code: 'point.unknown' },
  ])('refuses $what', ({ points, asked, vm, code }) => {
    expect(faultCode(() => choosePoint(points, asked, { vm }))).toBe(code);
  });
});

it('says the ids of VMs that have one name, and that an id is no name', () => {
  expect(() => choosePoint([A, SAME, OTHER], 'latest', {})).toThrow(
    `(db, web (id ${A.vmId}), web (id vm-same))`,
  );
  expect(() => choosePoint([OTHER], 'latest', { vm: 'vm-db' })).toThrow('--vm-id vm-db');
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
