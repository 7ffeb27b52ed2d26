// The allowed content of a shipped dashboard, in Grafana's own types. They do not define the settings of plugins. Here, each panel has the
// options of its type, and queries and variables are those of Prometheus, so that a misspelled key is always an error.
import type {
  AnnotationQuery, AxisPlacement, Dashboard as AnyDashboard, DataQuery, FieldColor, FieldConfig, LineStyle, Panel as AnyPanel, RowPanel,
  TableCellOptions, TableFieldOptions, ThresholdsConfig, ValueMapping, VariableModel, VariableOption,
} from '@grafana/schema';
import type { Options as BarGauge } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type { Options as Stat } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { FieldConfig as TimelineField, Options as Timeline } from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type { Options as Table } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { FieldConfig as TimeSeriesField, Options as TimeSeries } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// Prometheus's own types are in a package that contains the whole editor; these are their fields.
interface PrometheusSource { type: 'prometheus'; uid: '${datasource}' }

interface PrometheusQuery extends Omit<DataQuery, 'datasource' | 'queryType'> {
  datasource: PrometheusSource;
  editorMode: 'code' | 'builder';
  expr: string;
  format?: 'time_series' | 'table' | 'heatmap';
  instant?: boolean;
  interval?: string;
  legendFormat?: string;
  range?: boolean;
}

interface PrometheusAnnotation extends Omit<AnnotationQuery, 'datasource' | 'target' | 'snapshotData'> {
  datasource: PrometheusSource;
  tagKeys: string;
  target: PrometheusQuery;
  textFormat: string;
  titleFormat: string;
}

interface GrafanaAnnotation extends Omit<AnnotationQuery, 'datasource' | 'target' | 'snapshotData'> {
  builtIn: 1;
  datasource: { type: 'grafana'; uid: '-- Grafana --' };
  type: 'dashboard';
}

interface DataLink { targetBlank?: boolean; title: string; url: string }

type Field<Custom> = Omit<FieldConfig, 'custom' | 'links'> & { custom?: Custom; links?: DataLink[] };

// Grafana's type of an override allows any property. These are the properties that the dashboards set.
type Property =
  | { id: 'color'; value: FieldColor }
  | { id: 'custom.axisPlacement'; value: AxisPlacement }
  | { id: 'custom.cellOptions'; value: TableCellOptions }
  | { id: 'custom.lineStyle'; value: LineStyle }
  | { id: 'decimals' | 'max' | 'min' | 'custom.width'; value: number }
  | { id: 'links'; value: DataLink[] }
  | { id: 'mappings'; value: ValueMapping[] }
  | { id: 'noValue' | 'unit'; value: string }
  | { id: 'thresholds'; value: ThresholdsConfig };

interface Override {
  matcher: { id: 'byName' | 'byRegexp' | 'byType' | 'byFrameRefID'; options: string };
  properties: Property[];
}

interface Organize {
  id: 'organize';
  options: {
    excludeByName: Record<string, boolean>;
    includeByName: Record<string, boolean>;
    indexByName: Record<string, number>;
    renameByName: Record<string, string>;
  };
}

interface Merge { id: 'merge'; options: Record<string, never> }

interface Matrix { id: 'groupingToMatrix'; options: { columnField: string; emptyValue: 'null'; rowField: string; valueField: string } }

type Panel<Type extends string, Options, Custom> = Omit<AnyPanel, 'datasource' | 'fieldConfig' | 'options' | 'targets' | 'transformations' | 'type'> & {
  datasource: PrometheusSource;
  fieldConfig: { defaults: Field<Custom>; overrides: Override[] };
  options: Options;
  targets: PrometheusQuery[];
  transformations?: Array<Matrix | Merge | Organize>;
  type: Type;
};

type AnyOf =
  | Panel<'bargauge', BarGauge, Record<never, never>>
  | Panel<'stat', Stat, Record<never, never>>
  | Panel<'statetimeline', Timeline, TimelineField>
  | Panel<'table', Table, TableFieldOptions>
  | Panel<'timeseries', TimeSeries, TimeSeriesField>;

type Variable<Type extends string, More> = Omit<VariableModel, 'datasource' | 'query' | 'type' | 'current'> & { current?: VariableOption; type: Type } & More;

type Variables =
  | Variable<'datasource', { query: 'prometheus' }>
  | Variable<'query', { datasource: PrometheusSource; query: { qryType: 1 | 3; query: string; refId: string } }>
  | Variable<'custom' | 'interval' | 'constant', { query: string }>;

// The requirements of an import by upload, which Grafana's types do not contain.
type Requirement = { name: string; version: string } & (
  | { id: 'grafana'; type: 'grafana' }
  | { id: 'prometheus'; type: 'datasource' }
  | { id: AnyOf['type']; type: 'panel' });

type Row = Omit<RowPanel, 'panels'> & { panels: AnyOf[] };

export interface Dashboard extends Omit<AnyDashboard, 'annotations' | 'panels' | 'templating' | 'id' | 'gnetId' | 'snapshot'> {
  __requires: Requirement[];
  annotations: { list: Array<GrafanaAnnotation | PrometheusAnnotation> };
  panels: Array<AnyOf | Row>;
  templating: { list: Variables[] };
}
