/**
 * The folders of src/ from the inside out. Imports point inward. Some are planned: see
 * docs/architecture.md. What an inner one needs of an outer one comes as data, as an argument or by
 * registration.
 */
const RINGS = [
  ['kernel'],
  ['disk', 'vm'],
  ['formats', 'nbd', 'vault', 'libvirt'],
  ['engines', 'catalog'],
  ['events'],
  ['jobs'],
  ['inventory', 'backup', 'restore', 'upkeep', 'replication'],
  ['plans', 'policies'],
  ['care'],
  ['drills'],
  ['recoverability'],
  ['records'],
  ['access'],
  ['api', 'cli'],
];
const PLAIN = RINGS.slice(0, 3).flat();
/** Folders of one ring that must not know each other. */
const STRANGERS = [
  ['formats', 'vault', 'libvirt'],
  ['nbd', 'vault', 'libvirt'],
  ['engines', 'catalog'],
  ['inventory', 'backup', 'restore', 'upkeep', 'replication'],
  ['plans', 'policies'],
];

/** The folders of src/vault from the inside out. Those of one ring do not know each other. */
const VAULT = [
  ['bytes', 'store'],
  ['format'],
  ['object-stores'],
  ['budget', 'slots', 'keys'],
  ['chunks'],
  ['control'],
  ['packs'],
  ['maps'],
  ['points'],
  ['damage', 'index', 'records'],
  ['tasks', 'presence'],
  ['checks'],
  ['writing', 'restoring'],
  ['collect'],
  ['retention', 'lock', 'probe'],
  ['access'],
  ['repair', 'copy', 'destroy'],
];
/** The folders of src/engines/qemu from the inside out. */
const QEMU = [
  ['qmp'],
  ['guest'],
  ['state'],
  ['process'],
  ['vms'],
  ['layers'],
  ['merge'],
  ['freeze'],
  ['lifecycle'],
];

/** One home per outside dependency. */
const HOMES = {
  '@nestjs/typeorm|typeorm|pg': ['catalog', 'platform'],
  '@aws-sdk': ['vault/object-stores'],
  '@nestjs/(swagger|platform-express)|express': ['api'],
  commander: ['cli'],
  'pg-boss': ['catalog'],
  pino: ['platform'],
  croner: ['policies'],
  '@nestjs/schedule': ['policies', 'care'],
};

const src = (...folders) => `^src/(${folders.join('|')})/`;
const WIRING = '[.]module[.]ts$|^src/(main|cli|app[.]module)[.]ts$';
const TESTS = '[.]spec[.]ts$|^test/';
const forbid = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

/** Keeps the rooms of `house` in the order of `rings`. `front` is the file that uses them all. */
const rooms = (house, rings, front) => [
  ...rings.slice(0, -1).map((ring, depth) =>
    forbid(
      `rooms-of-${house}-${ring[0]}`,
      `${ring.join(', ')} must not know the rings of ${house} around it.`,
      { path: `^src/${house}/(${ring.join('|')})/`, pathNot: TESTS },
      {
        path: `^src/${house}/(${rings
          .slice(depth + 1)
          .flat()
          .join('|')})/`,
      },
    ),
  ),
  ...rings
    .filter((ring) => ring.length > 1)
    .map((ring) =>
      forbid(
        `strangers-in-${house}-${ring[0]}`,
        `${ring.join(', ')} do not know each other.`,
        { path: `^src/${house}/(${ring.join('|')})/`, pathNot: TESTS },
        { path: `^src/${house}/(${ring.join('|')})/`, pathNot: `^src/${house}/$1/` },
      ),
    ),
  forbid(
    `front-of-${house}`,
    `The parts of ${house} do not know what is made of them.`,
    { path: `^src/${house}/[^/]+/`, pathNot: TESTS },
    { path: `^src/${house}/(${front})[.]ts$` },
  ),
];

module.exports = {
  forbidden: [
    ...RINGS.slice(0, -1).map((ring, depth) =>
      forbid(
        `inward-only-${ring[0]}`,
        `${ring.join(', ')} must not know the rings around it.`,
        { path: src(...ring), pathNot: `${WIRING}|${TESTS}` },
        { path: src(...RINGS.slice(depth + 1).flat()) },
      ),
    ),
    ...Object.entries(HOMES).map(([packages, folders]) =>
      forbid(
        `one-home-${folders.join('-').replaceAll('/', '-')}`,
        `${packages} belongs in ${folders.join(', ')}.`,
        { path: '^src/', pathNot: `${src(...folders)}|${TESTS}` },
        { path: `(^|/)node_modules/(@types/)?(${packages})(/|$)` },
      ),
    ),
    forbid(
      'plain-core',
      'The three inner rings are plain TypeScript; only their *.module.ts knows Nest.',
      { path: src(...PLAIN), pathNot: `${WIRING}|${TESTS}` },
      { path: 'node_modules/(@nestjs|rxjs|reflect-metadata)/' },
    ),
    ...STRANGERS.map((ring) =>
      forbid(
        `strangers-${ring[0]}`,
        `${ring.join(', ')} do not know each other; what they share moves a ring inward.`,
        { path: src(...ring), pathNot: TESTS },
        { path: src(...ring), pathNot: '^src/$1/' },
      ),
    ),
    ...rooms('vault', VAULT, 'vault'),
    ...rooms('engines/qemu', QEMU, 'qemu-engine'),
    forbid(
      'nbd-knows-no-formats',
      'formats reads images through qemu-nbd and so stands on nbd, not the other way round.',
      { path: src('nbd'), pathNot: TESTS },
      { path: src('formats') },
    ),
    forbid(
      'drivers-are-private',
      'Everyone sees the port; only the module or the program that wires a driver names it.',
      {
        path: '^src/',
        pathNot: `^src/(engines|vault)/|^src/cli/rescue/|^src/restore/exports/export.main.ts|${TESTS}`,
      },
      { path: '^src/(engines/[^/]+|vault/object-stores)/' },
    ),
    forbid(
      'platform-is-wired-not-used',
      'Code asks for kernel ports (Clock, Log); modules bind them to platform.',
      { path: '^src/', pathNot: `^src/platform/|${WIRING}|${TESTS}` },
      { path: '^src/platform/' },
    ),
    forbid(
      'cli-is-a-client',
      'The CLI speaks the HTTP contract.',
      { path: '^src/cli/', pathNot: `^src/cli/rescue/|${TESTS}` },
      { path: '^src/', pathNot: '^src/(cli|kernel|api/contract)/' },
    ),
    forbid(
      'rescue-needs-no-server',
      'Rescue restores from a vault alone: no server, no database.',
      { path: '^src/cli/rescue/', pathNot: TESTS },
      { path: '^src/', pathNot: `^src/cli/|${src(...PLAIN)}` },
    ),
    forbid(
      'console-knows-the-contract',
      'The console is a program of its own that knows the public API.',
      { path: '^src/console/', pathNot: TESTS },
      { path: '^src/', pathNot: '^src/(console|api/contract)/' },
    ),
    forbid(
      'console-is-apart',
      'Nothing of the service is built on the console.',
      { path: '^src/', pathNot: '^src/console/' },
      { path: '^src/console/' },
    ),
    forbid('no-cycles', 'Cycles hide ownership.', {}, { circular: true }),
    forbid(
      'no-tests-in-src',
      'Production must not need test code.',
      { path: '^src/', pathNot: TESTS },
      { path: TESTS },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
