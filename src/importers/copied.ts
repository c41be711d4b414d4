/** What a page in a browser puts in the place of what was typed. */
const TYPESET: readonly (readonly [RegExp, string])[] = [
  [/(?<=\s)[\u2010-\u2015\u2212](?=[A-Za-z]{2})/gu, '--'],
  [/(?<=\s)[\u2010-\u2015\u2212](?=[A-Za-z](?:\s|$))/gu, '-'],
  [/[\u201c-\u201f\u2033]/gu, '"'],
  [/[\u2018-\u201b\u2032]/gu, "'"],
  [/&(?:quot|#34|ldquo|rdquo);/g, '"'],
  [/&(?:#39|apos|lsquo|rsquo);/g, "'"],
  [/&(?:lt|#60);/g, '<'],
  [/&(?:gt|#62);/g, '>'],
  [/[\u00a0\u2007\u202f]|&(?:nbsp|#160);/gu, ' '],
  [/&(?:amp|#38);/g, '&'],
];

/** The text as it was typed, where it was copied from a page that shows dashes, quotes and signs otherwise. */
export function asTyped(text: string): string {
  return TYPESET.reduce((before, [shown, typed]) => before.replace(shown, typed), text);
}
