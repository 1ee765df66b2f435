//! What a level takes in: of its directives, group by group, and of the level around it.

use std::sync::Arc;

use crate::{
    directives::{
        core::{Root, root_template},
        http2::Http2Conf,
        server::ServerCore,
        ssl::SslConf,
        store,
        try_files::try_files,
    },
    parse::Directive,
    places::Places,
    scope::Scope,
    settings::{Group, Setting},
    source::Problem,
    template::Template,
    tree::{LocationConf, LocationName},
};

/// What `http` and servers have and locations have not.
#[derive(Debug, Clone, Default)]
pub struct ServerSettings {
    /// What is asked before a location is known.
    pub core: ServerCore,
    /// TLS towards clients.
    pub ssl: SslConf,
    /// Where that is written.
    pub ssl_places: Places,
    /// HTTP/2 towards clients.
    pub http2: Http2Conf,
}

impl ServerSettings {
    /// Applies a directive.
    pub fn apply(&mut self, directive: &Directive, scope: &Scope<'_>) -> Option<Result<(), Problem>> {
        let applied = self.core.apply(directive, scope).or_else(|| self.http2.apply(directive, scope));
        applied.or_else(|| {
            let applied = self.ssl.apply(directive, scope);
            if applied.is_some() {
                self.ssl_places.note(directive, scope);
            }
            applied
        })
    }

    /// Takes from the outer level what this one did not write.
    pub fn inherit(&mut self, outer: &Self) {
        self.core.inherit(&outer.core);
        self.ssl.inherit(&outer.ssl);
        self.ssl_places.inherit(&outer.ssl_places);
        self.http2.inherit(&outer.http2);
    }
}

impl LocationConf {
    /// Applies a directive that `http` may have too.
    pub fn apply(&mut self, directive: &Directive, scope: &Scope<'_>) -> Option<Result<(), Problem>> {
        self.core
            .apply(directive, scope)
            .or_else(|| self.headers.apply(directive, scope))
            .or_else(|| self.gzip.apply(directive, scope))
            .or_else(|| self.ssi.apply(directive, scope))
            .or_else(|| self.slice.apply(directive, scope))
            .or_else(|| self.log.apply(directive, scope))
            .or_else(|| self.rewrite.apply(directive, scope))
            .or_else(|| self.proxy.refuse_mixed_off(directive))
            .or_else(|| store::refuse_both(directive, &self.proxy, &self.cache))
            .or_else(|| self.proxy.apply(directive, scope))
            .or_else(|| self.proxy_socket.apply(directive, scope))
            .or_else(|| self.apply_proxy_ssl(directive, scope))
            .or_else(|| self.cache.apply(directive, scope))
            .or_else(|| self.resolver.apply(directive, scope))
    }

    fn apply_proxy_ssl(&mut self, directive: &Directive, scope: &Scope<'_>) -> Option<Result<(), Problem>> {
        let applied = self.proxy_ssl.apply(directive, scope);
        if applied.is_some() {
            self.proxy_ssl_places.note(directive, scope);
        }
        applied
    }

    /// Applies a directive of a server or location.
    pub fn apply_own(&mut self, directive: &Directive, scope: &Scope<'_>) -> Option<Result<(), Problem>> {
        if directive.is("try_files") {
            if self.try_files.is_some() {
                return Some(Err(directive.duplicate()));
            }
            return Some(try_files(directive, scope).map(|tried| self.try_files = Some(Arc::new(tried))));
        }
        if directive.is("root") && matches!(*self.core.document_root, Root::Alias(_)) {
            return Some(Err(directive.complain("is duplicate, \"alias\" directive was specified earlier")));
        }
        self.apply(directive, scope)
    }

    /// Applies `alias`.
    pub fn alias(&mut self, directive: &Directive, scope: &Scope<'_>) -> Result<(), Problem> {
        match &*self.core.document_root {
            Root::Alias(_) => return Err(directive.duplicate()),
            Root::Root(_) if self.core.document_root.is_written() => {
                return Err(directive.complain("is duplicate, \"root\" directive was specified earlier"));
            }
            Root::Root(_) => {}
        }
        if matches!(self.name, LocationName::Named(_)) {
            return Err(directive.fail(0, "the \"alias\" directive cannot be used inside the named location"));
        }
        let path = root_template(directive, scope)?;
        self.core.document_root = Setting::written(Root::Alias(path));
        self.alias_len = self.replaced_len();
        Ok(())
    }

    /// Returns how much of a path an `alias` replaces: with an expression, all of it.
    fn replaced_len(&self) -> Option<usize> {
        match self.name {
            LocationName::Regex(_) => None,
            _ => Some(self.name.prefix_len()),
        }
    }

    /// Takes from the outer level what this one did not write.
    pub fn inherit(&mut self, outer: &Self) {
        if !self.core.document_root.is_written() {
            self.alias_len = outer.alias_len;
        }
        self.core.inherit(&outer.core);
        self.headers.inherit(&outer.headers);
        self.gzip.inherit(&outer.gzip);
        self.ssi.inherit(&outer.ssi);
        self.slice.inherit(&outer.slice);
        self.log.inherit(&outer.log);
        self.rewrite.inherit(&outer.rewrite);
        self.proxy.inherit(&outer.proxy);
        self.proxy_socket.inherit(&outer.proxy_socket);
        self.proxy_ssl.inherit(&outer.proxy_ssl);
        self.proxy_ssl_places.inherit(&outer.proxy_ssl_places);
        self.cache.inherit(&outer.cache);
        self.resolver.inherit(&outer.resolver);
        store::settle(&mut self.proxy, &mut self.cache);
    }

    /// Puts in what depends on the prefix, at `http`.
    pub fn settle(&mut self, scope: &Scope<'_>) {
        let prefix = &scope.source.prefix;
        let html = prefix.join("html");
        self.core.document_root.default_to(Root::Root(Template::text(html.to_string_lossy().as_bytes())));
        for temp in [&mut self.core.client_body_temp_path, &mut self.proxy.temp_path] {
            let mut settled = (**temp).clone();
            settled.path = prefix.join(settled.path);
            temp.default_to(settled);
        }
        self.log.settle(scope);
    }
}
