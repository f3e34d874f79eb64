// Add-ons written as CommonJS that require these ESM packages fail in Jest unless they are loaded
// first.
await import('@nestjs/common');
await import('@nestjs/core');
await import('rxjs');
