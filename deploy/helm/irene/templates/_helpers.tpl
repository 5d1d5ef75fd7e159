{{- define "irene.fullname" -}}
{{- if contains "irene" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-irene" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The Service that Cloud Controller calls. */}}
{{- define "irene.service" -}}
{{- .Values.service.name | default (include "irene.fullname" .) -}}
{{- end -}}

{{/*
The entries of service.aliases as they are rendered, as YAML: a list of {name, namespace, local,
ports}, where ports are those of a Service in the release's namespace.
*/}}
{{- define "irene.aliases" -}}
{{- $aliases := list -}}
{{- $taken := list (printf "%s/%s" .Release.Namespace (include "irene.service" .)) (printf "%s/%s-observe" .Release.Namespace (include "irene.fullname" .)) (printf "%s/%s-registry" .Release.Namespace (include "irene.fullname" .)) -}}
{{- range .Values.service.aliases -}}
{{- $namespace := .namespace | default $.Release.Namespace -}}
{{- $key := printf "service.aliases: %s in namespace %s" .name $namespace -}}
{{- $full := printf "%s/%s" $namespace .name -}}
{{- if has $full $taken -}}
{{- fail (printf "%s is there already: each entry is a Service of its own, with a name that no other one has" $key) -}}
{{- end -}}
{{- $taken = append $taken $full -}}
{{- if and .bbsPort (not $.Values.bbs.enabled) -}}
{{- fail (printf "%s has a bbsPort although bbs.enabled is false" $key) -}}
{{- end -}}
{{- $local := eq $namespace $.Release.Namespace -}}
{{- if and (not $local) (or .opiPort .bbsPort) -}}
{{- fail (printf "%s has ports of its own. A Service of another namespace than the release's is an alias in DNS, with the ports of service.port and bbs.port: leave opiPort and bbsPort out" $key) -}}
{{- end -}}
{{- $ports := dict "api" (.opiPort | default $.Values.service.port | int) -}}
{{- if $.Values.bbs.enabled -}}
{{- $_ := set $ports "bbs" (.bbsPort | default $.Values.bbs.port | int) -}}
{{- if eq $ports.api $ports.bbs -}}
{{- fail (printf "%s has port %v for both doors: give opiPort and bbsPort" $key $ports.api) -}}
{{- end -}}
{{- end -}}
{{- $aliases = append $aliases (dict "name" .name "namespace" $namespace "local" $local "ports" $ports) -}}
{{- end -}}
{{- toYaml $aliases -}}
{{- end -}}

{{/* Names of what is not in a namespace. */}}
{{- define "irene.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "irene.fullname" .) -}}
{{- end -}}

{{- define "irene.account" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "irene.fullname" .) -}}
{{- end -}}

{{- define "irene.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: irene
{{- end -}}

{{- define "irene.selector" -}}
app.kubernetes.io/name: irene
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "irene.labels" -}}
app.kubernetes.io/name: irene
{{ include "irene.commonLabels" . }}
{{- end -}}

{{- define "irene.registry.selector" -}}
app.kubernetes.io/name: irene-registry
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "irene.registry.labels" -}}
app.kubernetes.io/name: irene-registry
{{ include "irene.commonLabels" . }}
{{- end -}}

{{- define "irene.image" -}}
{{- $repository := required "image.repository: where \"make images\" pushed the image of irene" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What a container of ours needs under restricted Pod Security. */}}
{{- define "irene.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "irene.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "irene.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The files of irene's configuration: key -> {secret or configMap, key}, as YAML. */}}
{{- define "irene.files" -}}
{{- $tls := .Values.tls.secretName -}}
{{- $files := dict
  "listen.tls.certificate_file" (dict "secret" $tls "key" .Values.tls.secretKeys.certificate)
  "listen.tls.key_file" (dict "secret" $tls "key" .Values.tls.secretKeys.privateKey) -}}
{{- if and .Values.tls.certManager.enabled (or (ne .Values.tls.secretKeys.certificate "tls.crt") (ne .Values.tls.secretKeys.privateKey "tls.key")) -}}
{{- fail "tls.secretKeys: cert-manager writes tls.crt and tls.key; leave secretKeys out, or set tls.certManager.enabled to false" -}}
{{- end -}}
{{- with .Values.tls.clientCA -}}
{{- $_ := set $files "listen.tls.client_ca_file" . -}}
{{- end -}}
{{- with .Values.bbs -}}
{{- if .enabled -}}
{{- $own := dict "secret" $tls "keys" $.Values.tls.secretKeys -}}
{{- if .tls.secretName -}}
{{- $own = dict "secret" .tls.secretName "keys" .tls.secretKeys -}}
{{- end -}}
{{- $_ := set $files "bbs.listen.tls.certificate_file" (dict "secret" $own.secret "key" $own.keys.certificate) -}}
{{- $_ := set $files "bbs.listen.tls.key_file" (dict "secret" $own.secret "key" $own.keys.privateKey) -}}
{{- with .tls.clientCA -}}
{{- $_ := set $files "bbs.listen.tls.client_ca_file" . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.embeddedRegistry -}}
{{- if .enabled -}}
{{- $names := printf "%s-registry-users" (include "irene.fullname" $) -}}
{{- $_ := set $files "registry.username_file" (dict "configMap" $names "key" "writer") -}}
{{- $_ := set $files "registry.password_file" (dict "secret" .passwords.secret "key" .passwords.writerKey) -}}
{{- $_ := set $files "registry.pull_username_file" (dict "configMap" $names "key" "reader") -}}
{{- $_ := set $files "registry.pull_password_file" (dict "secret" .passwords.secret "key" .passwords.readerKey) -}}
{{- end -}}
{{- end -}}
{{- range $key, $source := .Values.files -}}
{{- if $source -}}{{- $_ := set $files $key $source -}}{{- else -}}{{- $_ := unset $files $key -}}{{- end -}}
{{- end -}}
{{- if not (hasKey $files "listen.tls.client_ca_file") -}}
{{- fail (printf "tls.clientCA: name the Secret or ConfigMap, and the key in it, that has the authority of Cloud Controller's client certificate. There is no default: earlier releases took ca.crt of the Secret %s, and whoever got a certificate from its issuer under one of config.listen.tls.client_names was Cloud Controller to Irene. If that issuer signs for Cloud Controller alone, set tls.clientCA to {secret: %s, key: ca.crt} and nothing changes; docs/upgrade.md says what to do otherwise" $tls $tls) -}}
{{- end -}}
{{- if and .Values.bbs.enabled (not (hasKey $files "bbs.listen.tls.client_ca_file")) -}}
{{- fail "bbs.tls.clientCA: name the Secret or ConfigMap, and the key in it, that has the authority of the certificate that Cloud Controller shows to the BBS, as in {secret: cloud-foundry-ca, key: ca.crt}; or set bbs.enabled to false" -}}
{{- end -}}
{{- toYaml $files -}}
{{- end -}}

{{/* Sources of a projected volume for files as above. */}}
{{- define "irene.fileSources" -}}
{{- range $key, $source := . }}
- {{ if $source.secret }}secret{{ else }}configMap{{ end }}:
    name: {{ $source.secret | default $source.configMap }}
    items:
      - key: {{ $source.key | quote }}
        path: {{ $key | quote }}
{{- end }}
{{- end -}}

{{/* irene's configuration file. */}}
{{- define "irene.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $registry := get $config "registry" | default dict -}}
{{- with .Values.embeddedRegistry -}}
{{- if .enabled -}}
{{- $own := dict
  "address" (printf "%s-registry.%s.svc:%v" (include "irene.fullname" $) $.Release.Namespace .service.port)
  "pull_address" (eq .service.type "NodePort" | ternary (printf "127.0.0.1:%v" .service.nodePort) "")
  "plain_http" (not .tlsSecret)
  "pull_secret" "irene-registry-pull" -}}
{{- range $key, $value := $own -}}
{{- if or (not (hasKey $registry $key)) (eq (toString (get $registry $key)) "") -}}{{- $_ := set $registry $key $value -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (get $registry "pull_address") -}}
{{- fail "config.registry.pull_address: the registry of app images as the nodes' container runtime reaches it; or set embeddedRegistry.enabled" -}}
{{- end -}}
{{- $managed := dict
  "registry" $registry
  "listen" (dict "address" ":8085")
  "observe" (dict "address" ":9102")
  "kubernetes" (dict "namespace" .Values.appNamespace.name)
  "leader_election" (dict "namespace" .Release.Namespace "lease_name" (include "irene.fullname" .)) -}}
{{- with .Values.bbs -}}
{{- if .enabled -}}
{{- if not .clientNames -}}
{{- fail "bbs.clientNames: the names in the certificates of the clients that may call the BBS API, as in [cloud-controller-ng.service.cf.internal]; or set bbs.enabled to false" -}}
{{- end -}}
{{- $_ := set $managed "bbs" (dict
  "adopt_opi" .adoptOPI
  "listen" (dict "address" ":8889" "tls" (dict "client_names" .clientNames))) -}}
{{- end -}}
{{- end -}}
{{- $config = mergeOverwrite $config $managed -}}
{{- range $key, $source := include "irene.files" . | fromYaml -}}
{{- $parts := splitList "." $key -}}
{{- $node := $config -}}
{{- range initial $parts -}}
{{- if not (hasKey $node .) -}}{{- $_ := set $node . dict -}}{{- end -}}
{{- $node = get $node . -}}
{{- end -}}
{{- $_ := set $node (last $parts) (printf "/etc/irene/files/%s" $key) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The embedded registry's configuration file. */}}
{{- define "irene.registry.config" -}}
{{- $own := .Values.embeddedRegistry -}}
{{- $config := deepCopy $own.config -}}
{{- $listen := dict "address" ":5000" -}}
{{- if $own.tlsSecret -}}
{{- $_ := set $listen "tls" (dict "certificate_file" (printf "/etc/irene/tls/%s" $own.tlsSecretKeys.certificate) "key_file" (printf "/etc/irene/tls/%s" $own.tlsSecretKeys.privateKey)) -}}
{{- end -}}
{{- $_ := set $config "users" (list
  (dict "name" $own.writer "password_file" "/etc/irene/users/writer")
  (dict "name" $own.reader "password_file" "/etc/irene/users/reader" "read_only" true)) -}}
{{- mergeOverwrite $config (dict
  "listen" $listen
  "observe" (dict "address" ":9103")
  "storage" (dict "directory" "/var/lib/irene-registry/content")) | toYaml -}}
{{- end -}}
