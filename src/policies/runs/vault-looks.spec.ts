import { Fault } from '../../kernel/fault.ts';
import { VaultLooks } from './vault-looks.ts';

describe('VaultLooks', () => {
  it('counts a look only once its result was weighed after it had ended', async () => {
    const listed = Promise.withResolvers<undefined>();
    const looks = new VaultLooks({ sync: () => listed.promise });
    const ended = new Promise<void>((resolve) => {
      looks.onEnd(resolve);
    });
    expect(looks.isDone('v')).toBe(false);
    looks.weigh();
    listed.resolve(undefined);
    await ended;

    expect(looks.isDone('v')).toBe(false);
    looks.weigh();
    expect(looks.isDone('v')).toBe(true);
  });

  it('looks once, whoever wants it', async () => {
    const looked: string[] = [];
    const looks = new VaultLooks({
      sync: async (vaultId) => {
        looked.push(vaultId);
      },
    });
    looks.want('v');
    looks.want('v');
    looks.isDone('v');
    await looks.stop();
    expect(looked).toEqual(['v']);
  });

  it('looks again after the store was away', async () => {
    let looked = 0;
    const looks = new VaultLooks({
      sync: async () => {
        looked += 1;
        throw new Fault('store.unreachable', 'away');
      },
    });
    const ended = new Promise<void>((resolve) => {
      looks.onEnd(resolve);
    });
    expect(looks.isDone('v')).toBe(false);
    await ended;
    looks.weigh();

    expect(() => looks.isDone('v')).toThrow('away');
    expect(looks.isDone('v')).toBe(false);
    await looks.stop();
    expect(looked).toBe(2);
  });
});
