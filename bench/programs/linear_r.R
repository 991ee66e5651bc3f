# R: lm, .lm.fit or nlme::gls, timed like linear_clock.py.
job <- jsonlite::read_json(commandArgs(TRUE)[1], simplifyVector = TRUE)

n <- file.size(job$bin) / 8 / length(job$columns)
connection <- file(job$bin, "rb")
data <- as.data.frame(setNames(lapply(job$columns, function(k) readBin(connection, "double", n)), job$columns))
close(connection)
for (k in job$labels) data[[k]] <- factor(data[[k]])

resident <- function(field) {
  if (!file.exists("/proc/self/status")) return(NULL)
  line <- grep(field, readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}
bare <- function(x, y) {
  fit <- .lm.fit(x, y); k <- seq_len(fit$rank)
  list(b = fit$coefficients, se = sqrt(diag(chol2inv(fit$qr[k, k, drop = FALSE])) * sum(fit$residuals^2) / (length(y) - fit$rank)))
}
if (job$variant == "lm.fit") data <- list(y = data$y, x = cbind(1, as.matrix(data[-1])))
fit <- switch(job$variant,
  lm = function(d) { s <- summary(lm(as.formula(job$formula), d))$coefficients; list(b = s[, 1], se = s[, 2]) },
  lm.fit = function(d) bare(d$x, d$y),
  gls = function(d) {
    f <- nlme::gls(as.formula(job$formula), d, correlation = nlme::corAR1(form = ~ t | series))
    list(b = coef(f), se = sqrt(diag(vcov(f))), loglik = as.numeric(logLik(f)))
  })
few <- max(3 * length(job$columns), 200)
few <- if (job$variant == "lm.fit") list(y = data$y[1:few], x = data$x[1:few, ]) else data[1:few, ]
seconds <- function(expression) system.time(expression, gcFirst = FALSE)[["elapsed"]]

if (job$variant == "gls" && !requireNamespace("nlme", quietly = TRUE)) {
  cat('{"failed": "nlme is not installed"}\n')
} else {
  start <- seconds(fit(few))
  invisible(gc())
  before <- resident("VmRSS")
  if (!is.null(before)) cat("5", file = "/proc/self/clear_refs")
  first <- seconds(found <- fit(data))
  peak <- resident("VmHWM")
  warm <- numeric(); left <- job$budget_s
  while (length(warm) < job$repeats && left > max(c(warm, first))) {
    warm <- c(warm, seconds(fit(data)))
    left <- left - warm[length(warm)]
  }
  out <- list(start_s = start, first_s = first, warm_s = if (length(warm)) median(warm),
    estimate = I(unname(found$b)), std_error = I(unname(found$se)))
  if (!is.null(peak)) out <- c(out, beyond_mb = peak - before, peak_mb = peak)
  if (!is.null(found$loglik)) out$loglik <- found$loglik
  cat(jsonlite::toJSON(out, auto_unbox = TRUE, digits = 15, null = "null"), "\n")
}
