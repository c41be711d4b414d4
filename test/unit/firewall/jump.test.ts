import { describe, expect, it } from 'vitest';
import { jumpEdits, jumpsInPlace, parseSaved } from '../../../src/firewall/rules/jump.ts';
import { rulesFor } from '../../../src/firewall/rules/rules.ts';
import { configOf } from '../../support/configs.ts';

const MINE = '-A INPUT ! -i lo -m comment --comment nfknock -j NFKNOCK';
const FORWARD = '-A FORWARD -m comment --comment nfknock -j NFKNOCK-FWD';
const THEIRS = '-A INPUT -p tcp -m tcp --dport 99 -j ACCEPT';

const plain = rulesFor(configOf({ doors: { ssh: { knock: [7000, 8000], opens: [22] } } }), 4).jumps;
const behind = rulesFor(
  configOf({ doors: { web: { knock: [7000, 8000], opens: [443], forward: '198.51.100.5' } } }),
  4,
).jumps;

function saved(...lines: readonly string[]): ReturnType<typeof parseSaved> {
  const chains = [':INPUT ACCEPT [0:0]', ':FORWARD ACCEPT [0:0]', ':NFKNOCK - [0:0]', ':NFKNOCK-FWD - [0:0]'];
  return parseSaved(['# Generated', '*filter', ...chains, ...lines, 'COMMIT', ''].join('\n'));
}

describe('jumps', () => {
  it('are put first where there are none', () => {
    expect(jumpEdits(saved(THEIRS), 'filter', plain)).toEqual([
      '-I INPUT 1 ! -i lo -m comment --comment nfknock -j NFKNOCK',
    ]);
  });

  it('are left alone where they stand first', () => {
    expect(jumpEdits(saved(MINE, THEIRS), 'filter', plain)).toEqual([]);
    expect(jumpEdits(saved(MINE.replace('nfknock ', '"nfknock" '), THEIRS), 'filter', plain)).toEqual([]);
  });

  it('are moved to the top where someone came before them', () => {
    expect(jumpsInPlace(saved(THEIRS, MINE), 'filter', plain)).toBe(false);
    expect(jumpEdits(saved(THEIRS, MINE), 'filter', plain)).toEqual([
      '-D INPUT ! -i lo -m comment --comment nfknock -j NFKNOCK',
      '-I INPUT 1 ! -i lo -m comment --comment nfknock -j NFKNOCK',
    ]);
  });

  it('are taken out where the configuration wants them no more, or twice', () => {
    const old = '-A INPUT -i eth7 -m comment --comment nfknock -j NFKNOCK';
    expect(jumpEdits(saved(MINE, old, FORWARD), 'filter', plain)).toEqual([
      '-D INPUT ! -i lo -m comment --comment nfknock -j NFKNOCK',
      '-D INPUT -i eth7 -m comment --comment nfknock -j NFKNOCK',
      '-D FORWARD -m comment --comment nfknock -j NFKNOCK-FWD',
      '-I INPUT 1 ! -i lo -m comment --comment nfknock -j NFKNOCK',
    ]);
    expect(jumpsInPlace(saved(MINE, MINE), 'filter', plain)).toBe(false);
  });

  it('stand in DOCKER-USER as soon as Docker has made it', () => {
    expect(jumpsInPlace(saved(MINE, FORWARD), 'filter', behind)).toBe(true);
    const docker = saved(':DOCKER-USER - [0:0]', MINE, FORWARD, '-A DOCKER-USER -j RETURN');
    expect(jumpsInPlace(docker, 'filter', behind)).toBe(false);
    expect(jumpEdits(docker, 'filter', behind)).toContain(
      '-I DOCKER-USER 1 -m comment --comment nfknock -j NFKNOCK-FWD',
    );
  });

  it('within our own chains are no business of this', () => {
    expect(jumpEdits(saved(MINE, '-A NFKNOCK -j NFKNOCK-FWD'), 'filter', plain)).toEqual([]);
  });
});
