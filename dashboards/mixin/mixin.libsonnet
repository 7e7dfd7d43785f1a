// The dashboards and rules of rk-exporter for Jsonnet:
//
//   local rkExporter = (import 'mixin/mixin.libsonnet') {
//     _config+:: {
//       job: 'rk-exporter-.+',
//       thresholds+: { recording_paused_seconds: 600 },
//       severities+: { 'RealtimeKitRecordingErrored.severity': 'critical' },
//     },
//   };
//
// It fills the same templates as `rk-exporter assets`. Severities and thresholds are listed in settings.json.

local settings = import 'settings.json';
local rules = importstr 'templates/rules/rk-exporter.rules.yml';
local serviceLevelRules = importstr 'templates/rules/rk-exporter-service-levels.rules.yml';
local dashboards = {
  'rk-exporter-exporter.json': importstr 'templates/dashboards/exporter.json',
  'rk-exporter-overview.json': importstr 'templates/dashboards/overview.json',
  'rk-exporter-recording.json': importstr 'templates/dashboards/recording.json',
  'rk-exporter-recordings.json': importstr 'templates/dashboards/recordings.json',
  'rk-exporter-service-level.json': importstr 'templates/dashboards/service-level.json',
};
local severities = ['critical', 'warning', 'info', 'off'];

local known(kind, given) =
  local unknown = std.setDiff(std.objectFields(given), std.objectFields(settings[kind]));
  if unknown == [] then given else error 'unknown key in %s: %s' % [kind, std.join(', ', unknown)];
local threshold(key, value) =
  if std.isNumber(value) && value >= 0 then '%.15g' % value
  else error 'thresholds: %s: expected a number, e.g. %s' % [key, settings.thresholds[key]];
local severity(key, value) =
  if std.member(severities, value) then value
  else error 'severities: %s: expected one of %s' % [key, std.join(', ', severities)];
local isPattern(job) = std.length([char for char in std.stringChars(job) if std.member('*+?|()[]^', char)]) > 0;

local values(config) =
  std.mapWithKey(threshold, settings.thresholds + known('thresholds', config.thresholds)) +
  std.mapWithKey(severity, settings.severities + known('severities', config.severities)) + {
    job: config.job,
    job_is: if isPattern(config.job) then '=~' else '=',
    cluster_label: config.clusterLabel,
    grafana_url: std.rstripChars(config.grafanaUrl, '/'),
    runbook_url: config.runbookUrl,
  };
local filled(template, values) =
  local place(text, key) =
    local token = '%s=%s@' % [key, settings.tokens[key]];
    std.strReplace(std.strReplace(text, '"@#' + token + '"', values[key]), '@' + token, values[key]);
  std.foldl(place, std.objectFields(values), template);

{
  _config+:: {
    // The name of the exporter's job in Prometheus, or a regular expression.
    job: settings.tokens.job,
    // The label that says in which cluster a target is.
    clusterLabel: settings.tokens.cluster_label,
    // Numbers of the units in their names.
    thresholds: settings.thresholds,
    // Objectives with error budgets, cost, and recordings that nobody stops.
    serviceLevels: false,
    // critical, warning, info, or off, which leaves the alert out.
    severities: settings.severities,
    // Alerts link to Grafana's dashboards, and to your copy of the runbook.
    grafanaUrl: settings.tokens.grafana_url,
    runbookUrl: settings.tokens.runbook_url,
  },

  local values_ = values($._config),
  local texts = [rules] + if $._config.serviceLevels then [serviceLevelRules] else [],
  local groups = std.flatMap(function(text) std.parseYaml(filled(text, values_)).groups, texts),
  local isAlert(rule) = std.objectHas(rule, 'alert'),

  grafanaDashboards+:: {
    [name]: std.parseJson(filled(dashboards[name], values_))
    for name in std.objectFields(dashboards)
  },
  prometheusRules+:: {
    groups+: [group for group in groups if !std.any(std.map(isAlert, group.rules))],
  },
  prometheusAlerts+:: {
    groups+: [
      group { rules: [rule for rule in group.rules if std.get(rule.labels, 'severity') != 'off'] }
      for group in groups
      if std.any(std.map(isAlert, group.rules))
    ],
  },
}
