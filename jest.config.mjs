/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  testSequencer: '<rootDir>/test/sequencer.mjs',
  // What a run draws follows from it.
  showSeed: true,
  testMatch: ['<rootDir>/{src,test}/**/*.spec.ts'],
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
  extensionsToTreatAsEsm: ['.ts'],
  setupFilesAfterEnv: ['<rootDir>/test/setup-equality.mjs'],
  // For what hangs; on a busy machine tests take many times what they take on a quiet one.
  testTimeout: 300_000,
  transform: {
    '^.+[.]ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2024',
          parser: { syntax: 'typescript', decorators: true },
          transform: {
            legacyDecorator: true,
            decoratorMetadata: true,
            useDefineForClassFields: false,
          },
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
};
