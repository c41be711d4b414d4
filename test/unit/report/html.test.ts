import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { reportHtml } from '../../../src/report/html.ts';
import { scriptJson } from '../../../src/text/html.ts';
import { chartLibrary } from '../../support/charting.ts';
import { decoy, reportOf } from './sample.ts';

const HOSTILE = '</script><script>alert(1)</script><!-- \u2028 " \' &';

describe('the file of a report', () => {
  const html = reportHtml(reportOf([decoy(0, '203.0.113.9')], HOSTILE), chartLibrary());

  test('names nothing that a browser would fetch', () => {
    const page = html.replace(/<script>[\s\S]*?<\/script>/g, '');
    expect(page).not.toMatch(/\b(?:src|href)\s*=\s*"(?!data:,")/);
    expect(page).not.toMatch(/@import|url\(/);
  });

  test('lets a browser run its own two scripts and use its own style, and nothing else', () => {
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1] ?? '';
    const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
    const scripts = [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(([, text = '']) => hashOf(text));
    const styles = [...html.matchAll(/<style>([\s\S]*?)<\/style>/g)].map(([, text = '']) => hashOf(text));
    expect(policy.split('; ')).toEqual([
      "default-src 'none'",
      `script-src ${scripts.join(' ')}`,
      `style-src ${styles.join(' ')}`,
      'img-src data:',
      "base-uri 'none'",
      "form-action 'none'",
    ]);
  });

  test('lets no text become markup', () => {
    expect(html).not.toContain('<script>alert');
    expect(html).toContain('<title>&lt;/script&gt;&lt;script&gt;alert(1)');
  });

  test('holds the data as JSON that reads back as it was', () => {
    const data = reportOf([decoy(0, '203.0.113.9')], HOSTILE);
    const text = scriptJson(data);
    expect(text).not.toMatch(/[<>\u2028\u2029]/);
    expect(JSON.parse(text)).toEqual(data);
  });

  test('is under 550 kB, since people mail it', () => {
    const bytes = Buffer.byteLength(html);
    expect(bytes).toBeGreaterThan(300_000);
    expect(bytes).toBeLessThan(550_000);
  });

  test('is the same for the same data', () => {
    expect(reportHtml(reportOf([decoy(0, '203.0.113.9')], HOSTILE), chartLibrary())).toBe(html);
  });
});
