"""Labels that service discovery and usual relabelling set on scrape targets."""

# https://prometheus.io/docs/prometheus/latest/configuration/configuration/#kubernetes_sd_config,
# without the prefix, and the shorter names that `relabel_configs` give them.
_KUBERNETES = """
    namespace node pod service container endpoints endpointslice ingress node_name node_provider_id
    service_name service_port_name service_port_number service_port_protocol service_type
    service_cluster_ip service_loadbalancer_ip service_external_name pod_name pod_ip pod_ready
    pod_phase pod_uid pod_node_name pod_host_ip pod_container_init pod_container_name
    pod_container_image pod_container_id pod_container_port_name pod_container_port_number
    pod_container_port_protocol pod_controller_kind pod_controller_name endpoint_hostname
    endpoint_node_name endpoint_ready endpoint_port_name endpoint_port_protocol
    endpoint_address_target_kind endpoint_address_target_name ingress_name ingress_class_name
    ingress_scheme ingress_host ingress_path phase uid ready host_ip controller controller_kind
    controller_name workload workload_type container_name image port protocol scheme
"""
# Labels of pods, services and nodes, which `labelmap` copies.
_COPIED = """
    app k8s_app app_kubernetes_io_name app_kubernetes_io_instance app_kubernetes_io_version
    app_kubernetes_io_component app_kubernetes_io_part_of app_kubernetes_io_managed_by
    app_kubernetes_io_created_by helm_sh_chart chart release heritage component tier track role name
    version environment env stage partition team owner project product customer tenant domain group
    app_id app_name app_version revision pod_template_hash controller_revision_hash
    statefulset_kubernetes_io_pod_name topology_kubernetes_io_region topology_kubernetes_io_zone
    kubernetes_io_hostname kubernetes_io_os kubernetes_io_arch node_kubernetes_io_instance_type
"""
# https://prometheus-operator.dev/docs/api-reference/api/: ServiceMonitor, PodMonitor and Prometheus
_OPERATOR = "endpoint job_label prometheus prometheus_replica"
_CONSUL = """
    address dc datacenter health service_id service_address service_port service_metadata_version
    tagged_address_lan tags tag
"""
_EC2 = """
    ami architecture availability_zone availability_zone_id instance_id instance_lifecycle
    instance_state instance_type ipv6_addresses owner_id platform primary_subnet_id private_dns_name
    private_ip public_dns_name public_ip region subnet_id vpc_id account account_id Name az
"""
_USUAL = """
    cluster cluster_name zone location site rack host hostname fqdn server nodename shard replica
    monitor source type os arch url target module exporter proxy subscription resource_group
    project_id machine device
"""
TARGET_LABELS = tuple(
    dict.fromkeys(
        label
        for labels in (_KUBERNETES, _COPIED, _OPERATOR, _CONSUL, _EC2, _USUAL)
        for label in labels.split()
    )
)


def target_labels(suffix: str) -> dict[str, str]:
    """Return all of them, with values that end with *suffix*."""
    return {label: f"{label}-{suffix}" for label in TARGET_LABELS}
