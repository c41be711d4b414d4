import type { Render, Shapes, TextTools } from './page-dom.ts';

/*
 * Part of the page's own program, which runs in a browser: `html.ts` writes this function's text into the report.
 * So it may use nothing of this file but itself, and nothing that is imported but types.
 */

/** What stands in a lane of the timeline: its name, bars and marks. */
export function shapeDrawer(tools: TextTools): Shapes {
  function name(names: readonly string[], colour: string): Render {
    return (params, api) => {
      const area = params.coordSys;
      const middle = api.coord([api.value(0), api.value(1)])[1];
      const text = names[params.dataIndex] ?? '';
      const style = { text, x: area.x + 3, y: middle - 21, fill: colour, fontSize: 11 };
      return { type: 'text', style: { ...style, width: area.width, overflow: 'truncate' } };
    };
  }

  function bar(down: number): Render {
    return (params, api) => {
      const from = api.coord([api.value(0), api.value(1)]);
      const to = api.coord([api.value(2), api.value(1)]);
      const kind = api.value(4) + 8;
      const area = params.coordSys;
      const left = Math.max(from[0], area.x);
      const right = Math.min(to[0], area.x + area.width);
      if (right < left) return undefined;
      const colour = tools.kindColour(kind);
      return {
        type: 'rect',
        shape: { x: left, y: from[1] + down - 9, width: Math.max(right - left, 2), height: 18, r: 4 },
        style: { fill: colour, opacity: kind === 8 ? 0.5 : 0.3, stroke: colour, lineWidth: 1 },
      };
    };
  }

  /** A circle with its step for a knock; a triangle, a cross, a diamond or a square for what went wrong. */
  function mark(down: number): Render {
    return (_params, api) => {
      const [x, middle] = api.coord([api.value(0), api.value(1)]);
      const y = middle + down;
      const kind = api.value(2);
      const step = api.value(4);
      const style = { fill: tools.kindColour(kind), stroke: '#ffffff', lineWidth: 1 };
      if (kind === 0) {
        const text = {
          text: String(step),
          x,
          y,
          fill: '#ffffff',
          fontSize: 10,
          fontWeight: 'bold',
          align: 'center',
          verticalAlign: 'middle',
        };
        return {
          type: 'group',
          children: [
            { type: 'circle', shape: { cx: x, cy: y, r: 8 }, style },
            { type: 'text', style: text },
          ],
        };
      }
      const shapes = [
        [],
        [
          [0, -7],
          [7, 6],
          [-7, 6],
        ],
        [
          [-7, -6],
          [7, -6],
          [0, 7],
        ],
        [
          [-5, -5],
          [5, -5],
          [5, 5],
          [-5, 5],
        ],
        [
          [0, -8],
          [8, 0],
          [0, 8],
          [-8, 0],
        ],
        [
          [-3, -8],
          [3, -8],
          [3, -3],
          [8, -3],
          [8, 3],
          [3, 3],
          [3, 8],
          [-3, 8],
          [-3, 3],
          [-8, 3],
          [-8, -3],
          [-3, -3],
        ],
        [
          [0, -8],
          [3, -3],
          [8, 0],
          [3, 3],
          [0, 8],
          [-3, 3],
          [-8, 0],
          [-3, -3],
        ],
        [
          [-4, -8],
          [4, -8],
          [8, 0],
          [4, 8],
          [-4, 8],
          [-8, 0],
        ],
      ];
      const points = (shapes[kind] ?? []).map(([dx = 0, dy = 0]) => [x + dx, y + dy]);
      return { type: 'polygon', shape: { points }, style };
    };
  }

  return { name, bar, mark };
}
