import { CustomChart } from 'echarts/charts';
import {
  DataZoomInsideComponent,
  DataZoomSliderComponent,
  GridComponent,
  TooltipComponent,
} from 'echarts/components';
import { use } from 'echarts/core';
import { CanvasRenderer } from 'echarts/renderers';

/*
 * The parts of the charting library that page-chart.ts draws with. rolldown.charting.mjs makes the one file of them that
 * a report holds; the program itself never loads this.
 */
use([
  CanvasRenderer,
  CustomChart,
  DataZoomInsideComponent,
  DataZoomSliderComponent,
  GridComponent,
  TooltipComponent,
]);

export { init } from 'echarts/core';
