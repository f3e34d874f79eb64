import { actingAs, currentActor } from './actor.ts';

describe('the actor', () => {
  it('is the one on whose behalf the work was begun, also after it waited', async () => {
    const seen = await Promise.all(
      ['web', 'db'].map((name) =>
        actingAs(name, async () => {
          await Promise.resolve();
          return currentActor();
        }),
      ),
    );

    expect([...seen, currentActor()]).toEqual(['web', 'db', 'service']);
  });
});
