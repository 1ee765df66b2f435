//! Names of nginx's directives that are not here yet: known, so that they are refused with the right words.
//!
//! A directive that gets a row leaves this list; a test sees to it.

/// Names by module, for people; [`is_later`] does not care.
const LATER: &[&str] = &[
    // Core.
    "debug_connection debug_points load_module ssl_engine ssl_object_cache_inheritable thread_pool",
    // HTTP core and what is near it.
    "allow aio_write auth_delay auth_basic auth_basic_user_file auth_jwt auth_jwt_claim_set
     auth_jwt_header_set auth_jwt_key_cache auth_jwt_key_file auth_jwt_key_request auth_jwt_leeway
     auth_jwt_require auth_jwt_type auth_oidc auth_request auth_request_set deny disable_symlinks
     limit_except oidc_provider
     satisfy status_zone keepalive_min_timeout http3 http3_hq http3_max_concurrent_streams
     http3_stream_buffer_size quic_active_connection_id_limit quic_bpf quic_gso quic_host_key
     quic_retry",
    // Rewriting, maps and the like.
    "geoip_city geoip_country geoip_org geoip_proxy geoip_proxy_recursive
     keyval keyval_zone ancient_browser ancient_browser_value modern_browser
     modern_browser_value",
    // Filters.
    "add_after_body add_before_body addition_types charset charset_map charset_types override_charset
     source_charset 
     gzip_static 
     image_filter image_filter_buffer image_filter_interlace
     image_filter_jpeg_quality image_filter_sharpen image_filter_transparency
     image_filter_webp_quality 
     sub_filter sub_filter_last_modified
     sub_filter_once sub_filter_types xml_entities xslt_last_modified xslt_param xslt_string_param
     xslt_stylesheet xslt_types f4f f4f_buffer_size flv hls hls_buffers hls_forward_args
     hls_fragment hls_mp4_buffer_size hls_mp4_max_buffer_size mp4 mp4_buffer_size mp4_limit_rate
     mp4_limit_rate_after mp4_max_buffer_size mp4_start_key_frame",
    // Content, limits, logs, state.
    "autoindex autoindex_exact_size autoindex_format autoindex_localtime create_full_put_path dav_access
     dav_methods min_delete_depth empty_gif random_index perl perl_modules perl_require perl_set
     stub_status api status status_format internal_redirect limit_conn limit_conn_dry_run
     limit_conn_log_level limit_conn_status limit_conn_zone limit_req limit_req_dry_run
     limit_req_log_level limit_req_status limit_req_zone limit_zone open_log_file_cache mirror
     mirror_request_body real_ip_header real_ip_recursive set_real_ip_from referer_hash_bucket_size
     referer_hash_max_size valid_referers secure_link secure_link_md5 secure_link_secret session_log
     session_log_format session_log_zone userid userid_domain userid_expires userid_flags
     userid_mark userid_name userid_p3p userid_path userid_service js_access js_body_filter
     js_content js_context_reuse js_context_reuse_max_size js_engine js_load_http_native_module
     js_fetch_buffer_size js_fetch_ciphers js_fetch_keepalive js_fetch_max_response_buffer_size
     js_fetch_protocols js_fetch_proxy js_fetch_timeout js_fetch_trusted_certificate js_fetch_verify
     js_fetch_verify_depth js_header_filter js_import js_include js_path js_periodic
     js_preload_object js_preread js_filter js_set js_shared_dict_zone js_var otel_exporter
     otel_service_name otel_span_attr otel_span_name otel_trace otel_trace_context mgmt usage_report
     acme_issuer acme_certificate acme_shared_zone license_token",
    // Upstreams.
    "ntlm upstream_conf sticky_cookie_insert state health_check_timeout",
    // Proxying.
    "proxy_allow_upstream proxy_download_rate proxy_upload_rate proxy_half_close
     proxy_protocol proxy_protocol_timeout proxy_requests proxy_responses proxy_session_drop
     proxy_ssl proxy_ssl_alpn proxy_timeout proxy_pass_error_message
     proxy_smtp_auth",
    // TLS.
    "ssl_alpn ssl_ech_file ssl_encrypted_hello_key ssl_handshake_timeout ssl_preread",
    // Mail and stream.
    "mail stream auth_http auth_http_header auth_http_pass_client_cert auth_http_timeout imap_auth
     imap_capabilities imap_client_buffer pop3_auth pop3_capabilities preread_buffer_size
     preread_timeout protocol smtp_auth smtp_capabilities smtp_client_buffer smtp_greeting_delay
     starttls timeout xclient pass google_perftools_profiles mqtt mqtt_buffers mqtt_preread
     mqtt_rewrite_buffer_size mqtt_set_connect zone_sync zone_sync_buffers
     zone_sync_connect_retry_interval zone_sync_connect_timeout zone_sync_interval
     zone_sync_recv_buffer_size zone_sync_server zone_sync_ssl zone_sync_ssl_certificate
     zone_sync_ssl_certificate_key zone_sync_ssl_ciphers zone_sync_ssl_conf_command
     zone_sync_ssl_crl zone_sync_ssl_name zone_sync_ssl_password_file zone_sync_ssl_protocols
     zone_sync_ssl_server_name zone_sync_ssl_trusted_certificate zone_sync_ssl_verify
     zone_sync_ssl_verify_depth zone_sync_timeout",
    // Other protocols to upstreams.
    "memcached_bind memcached_buffer_size memcached_connect_timeout memcached_force_ranges
     memcached_gzip_flag memcached_next_upstream memcached_next_upstream_timeout
     memcached_next_upstream_tries memcached_pass memcached_read_timeout memcached_send_timeout
     memcached_socket_keepalive",
];

/// What the modules for FastCGI, SCGI, uwsgi and gRPC have alike, behind their prefix.
const PER_PROTOCOL: &str =
    "bind buffer_size buffering buffers busy_buffers_size cache cache_background_update cache_bypass
     cache_key cache_lock cache_lock_age cache_lock_timeout cache_max_range_offset cache_methods
     cache_min_uses cache_path cache_purge cache_revalidate cache_use_stale cache_valid catch_stderr
     connect_timeout force_ranges hide_header ignore_client_abort ignore_headers index
     intercept_errors keep_conn limit_rate max_temp_file_size modifier1 modifier2 next_upstream
     next_upstream_timeout next_upstream_tries no_cache param pass pass_header pass_request_body
     pass_request_headers read_timeout request_buffering send_lowat send_timeout set_header
     socket_keepalive split_path_info ssl_certificate ssl_certificate_cache ssl_certificate_key
     ssl_ciphers ssl_conf_command ssl_crl ssl_key_log ssl_name ssl_password_file ssl_protocols
     ssl_server_name ssl_session_reuse ssl_trusted_certificate ssl_verify ssl_verify_depth store
     store_access string temp_file_write_size allow_upstream";

const PROTOCOLS: [&str; 5] = ["fastcgi_", "scgi_", "uwsgi_", "grpc_", "tunnel_"];

/// Lists the names that stand alone.
pub fn later_names() -> impl Iterator<Item = &'static str> {
    LATER.iter().flat_map(|names| names.split_ascii_whitespace())
}

/// Says whether nginx has a directive of this name that is not here yet.
pub fn is_later(name: &str) -> bool {
    let of_protocol = |prefix: &str| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| PER_PROTOCOL.split_ascii_whitespace().any(|known| known == rest))
    };
    PROTOCOLS.iter().any(|prefix| of_protocol(prefix)) || later_names().any(|known| known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_row_is_not_to_come_later() {
        let both: Vec<_> = crate::rows().map(|row| row.name).filter(|name| is_later(name)).collect();
        assert_eq!(both, Vec::<&str>::new());
    }

    #[test]
    fn names_of_modules_are_known() {
        for name in ["gzip_static", "ssl_preread", "fastcgi_pass", "uwsgi_param", "grpc_set_header"] {
            assert!(is_later(name), "{name}");
        }
        assert!(!is_later("proxy_cache_vaild"));
    }
}
